// Shows where a number comes from: the evidence entry or the step behind it. The page works without this script.
(() => {
  "use strict";
  const card = document.getElementById("source-card");
  let pinned = null;

  const line = (list, label, text) => {
    if (!text) return;
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = label; dd.textContent = text;
    list.append(dt, dd);
  };
  // What the step's own entry in the plan says about its parameters and inputs.
  const stepLines = (list, step) => {
    for (const dt of step ? step.querySelectorAll(".step-detail > dt") : [])
      if (["Reads", "Input hash", "Parameters"].includes(dt.textContent))
        line(list, dt.textContent, dt.nextElementSibling.textContent.trim());
  };
  const decode = (source) => source.split("/").map(decodeURIComponent);

  function describe(number) {
    card.replaceChildren();
    const id = number.dataset.evidence;
    const entry = id && document.getElementById(id);
    const title = document.createElement("p"), list = document.createElement("dl");
    title.className = "title";
    if (entry) {
      title.textContent = `${id} · ${entry.querySelector(".head").textContent}`;
      for (const dt of entry.querySelectorAll("dt")) line(list, dt.textContent, dt.nextElementSibling.textContent.trim());
      const ref = entry.querySelector("a.ref");
      stepLines(list, ref && document.getElementById(ref.getAttribute("href").slice(1)));
    } else {
      const [kind, rest] = number.dataset.source.split(/:(.*)/s);
      const parts = decode(rest);
      const step = document.getElementById(`step-${parts[0]}`);
      const names = { value: "named value", cell: "table cell", rows: "number of rows", matches: "rows that match",
        param: "parameter", field: "field of the record", count: "count over the record" };
      title.textContent = names[kind] || kind;
      if (kind === "count" || kind === "field") line(list, "Path", parts.join(" / "));
      else {
        line(list, "Step", parts[0]);
        if (step && step.dataset.tool) line(list, "Tool", `${step.dataset.tool} ${step.dataset.version}`);
        if (kind === "cell" || kind === "matches") {
          line(list, "Table", parts[1]);
          if (kind === "cell") line(list, "Row", parts[2]);
          line(list, "Column", kind === "cell" ? parts[3] : `${parts[2]} = ${parts[3]}`);
        } else line(list, kind === "rows" ? "Table" : "Name", parts[1]);
      }
      line(list, "Exactly", number.dataset.value);
      if (kind !== "count" && kind !== "field") stepLines(list, step);
    }
    card.append(title, list);
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent = "Click the number again to go there.";
    card.append(hint);
  }

  function place(number) {
    card.hidden = false;
    const box = number.getBoundingClientRect(), own = card.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - own.width - 8));
    const above = box.bottom + own.height + 12 > window.innerHeight && box.top > own.height;
    card.style.left = `${left + window.scrollX}px`;
    card.style.top = `${(above ? box.top - own.height - 6 : box.bottom + 6) + window.scrollY}px`;
  }

  const show = (number) => { describe(number); place(number); };
  const hide = () => { card.hidden = true; pinned = null; };

  document.addEventListener("pointerover", (event) => {
    const number = event.target.closest("a.num");
    if (number && event.pointerType === "mouse" && !pinned) show(number);
  });
  document.addEventListener("pointerout", (event) => {
    if (event.target.closest("a.num") && !pinned) hide();
  });
  document.addEventListener("focusin", (event) => {
    const number = event.target.closest("a.num");
    if (number && number.matches(":focus-visible") && !pinned) show(number);
  });
  document.addEventListener("click", (event) => {
    const number = event.target.closest("a.num");
    if (number && pinned !== number) { event.preventDefault(); show(number); pinned = number; return; }
    if (!event.target.closest("#source-card")) hide();
    const link = event.target.closest('a[href^="#"]');
    if (link) open(link.getAttribute("href"));
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  function open(hash) {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  }
  window.addEventListener("hashchange", () => open(location.hash));
  open(location.hash);

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details.card:not([open])")];
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
})();
