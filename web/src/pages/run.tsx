import { useEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { api, exists, send, serverNow } from "../api";
import { Chart } from "../charts/chart";
import { Figure } from "../charts/figure";
import { MoreFigures } from "../parts/more_figures";
import { network } from "../charts/network";
import { counted, duration, when, words } from "../format";
import { problemFrom, useEvents, useLoaded, useMedia, useTitle, type Followed } from "../hooks";
import { Approvals } from "../parts/approvals";
import { Cards } from "../parts/cards";
import { withEvents } from "../live";
import { ChatPanel, useChat } from "../parts/chat";
import { Icon } from "../parts/icons";
import { PlanTree } from "../parts/plan";
import { lookOf, lookQuery, SourceSheet, type Look } from "../parts/source";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { TableOfStep } from "../parts/step";
import { Tabs } from "../parts/tabs";
import { Told } from "../parts/text";
import { back, go, to } from "../route";
import type { Card, FigureData, Graph, Plan, Problem, Run, Step } from "../types";

const AT_WORK = ["queued", "running"];
const ENDED = ["finished", "stopped"];
const RESUMABLE = ["cancelled", "stopped", "failed", "running"];
const QUIET_MS = 700;

/** A number that follows another one at most every so often: what is loaded anew on every change is not loaded too often. */
function useCalm(value: number): number {
  const [calm, setCalm] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + QUIET_MS - Date.now());
    const timer = window.setTimeout(() => {
      last.current = Date.now();
      setCalm(value);
    }, wait);
    return () => window.clearTimeout(timer);
  }, [value]);
  return calm;
}

const TABS = ["findings", "plan", "figures", "tables", "network", "report"];

/** One run, while it works and when it has ended. */
export function RunPage({ id, tab: asked, values }: { id: string; tab: string; values: URLSearchParams }) {
  const tab = TABS.includes(asked) ? asked : "findings";
  const [version, setVersion] = useState(0);
  const followed = useEvents(id, version);
  const count = followed.events.length;
  const calm = useCalm(count + (followed.connection === "ended" ? 1 : 0));
  const run = useLoaded<Run>(`runs/${id}`, `${calm} ${version}`);
  const stored = useLoaded<Plan>(`runs/${id}/plan`, `${calm} ${version}`);
  const found = followed.events.filter((one) => one.type.startsWith("hypothesis_")).length;
  const cards = useLoaded<Card[]>(`runs/${id}/cards`, `${useCalm(found)} ${followed.connection === "ended"} ${version}`);
  const ended = followed.connection === "ended" && followed.status !== "running";
  const plan = useMemo(
    () => ({ value: ended ? stored.value : withEvents(stored.value, followed.events) }),
    [stored.value, followed.events, ended],
  );
  const look = useMemo(() => lookOf(values), [values.toString()]);
  const setLook = (next: Look) => go(`${to("runs", id, tab)}?${lookQuery(next)}`);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [talk, setTalk] = useState(false);
  const asks = useRef<HTMLButtonElement>(null);
  const closeTalk = () => {
    flushSync(() => setTalk(false)); // what lay below can be reached again
    asks.current?.focus();
  };
  const chat = useChat();
  const roomy = useMedia("(min-width: 1280px)");
  useTitle(run.value?.question ?? "Run");

  const act = (verb: "cancel" | "resume") => {
    setProblem(null);
    send<Run>(`runs/${id}/${verb}`)
      .then(() => {
        run.again();
        if (verb === "resume") setVersion(version + 1);
      })
      .catch((error: unknown) => setProblem(problemFrom(error)));
  };
  if (run.problem && !run.value) {
    return (
      <>
        <div className="page-head">
          <h1>Run</h1>
        </div>
        <Failure problem={run.problem} again={run.again} />
        <p>
          <a href={to("runs")}>All runs</a>
        </p>
      </>
    );
  }
  if (!run.value) return <Loading what="Run" />;
  const status = run.value.status;
  const atWork = AT_WORK.includes(status);
  const open = atWork || status === "waiting";
  const here = tab === "findings" && (cards.value?.length ?? 0) === 0 && open ? "plan" : tab;
  const figures = figuresOf(plan.value);
  const chatting = talk && chat.available;
  return (
    <div className={chatting && roomy ? "with-chat" : undefined}>
      <div className="run-main" inert={chatting && !roomy}>
        <div className="page-head">
          <div>
            <p className="overline">
              {run.value.inputs.data} · {when(run.value.started)}
            </p>
            <h1>{run.value.question ?? "What is in these data?"}</h1>
          </div>
          <div className="actions">
            {chat.available && status !== "refused" && (
              <button ref={asks} type="button" aria-pressed={chatting} onClick={() => setTalk(!talk)}>
                <Icon name="chat" size={16} /> Ask about it
              </button>
            )}
            {(atWork || status === "waiting") && (
              <button type="button" onClick={() => act("cancel")}>
                <Icon name="stop" size={16} /> Cancel
              </button>
            )}
            {RESUMABLE.includes(status) && !atWork && (
              <button type="button" onClick={() => act("resume")}>
                <Icon name="play" size={16} /> Go on
              </button>
            )}
            {ENDED.includes(status) && <Downloads id={id} />}
            {!open && (
              <a className="button" href={`${to("runs")}?first=${encodeURIComponent(id)}`}>
                <Icon name="compare" size={16} /> Compare
              </a>
            )}
          </div>
        </div>
        <Progress run={run.value} plan={plan.value} followed={followed} cards={cards.value?.filter((one) => !["refuted", "merged"].includes(one.status)).length ?? null} />
        {problem && <Failure problem={problem} />}
        {run.problem && run.problem.status !== 0 && <Failure problem={run.problem} again={run.again} />}
        {status === "waiting" && (
          <Approvals
            run={id}
            version={`${calm} ${status}`}
            onAnswered={() => {
              setVersion((old) => old + 1);
              run.again();
            }}
          />
        )}
        {["refused", "failed"].includes(status) && (
          <Failure
            problem={{
              title: status,
              status: 0,
              detail: run.value.stop_reason || `the run is ${status}`,
              mend: status === "refused" ? "correct the file or its sample sheet, and start a new run" : "press “Go on”: it continues after the last step that was made; or start a new run",
            }}
          />
        )}
        <Tabs
          label="Parts of the run"
          here={here}
          items={[
            [to("runs", id, "findings"), "findings", cards.value?.length ? String(cards.value.length) : ""],
            [to("runs", id, "plan"), "plan", plan.value ? String(plan.value.objectives.length) : ""],
            [to("runs", id, "figures"), "figures", figures.length ? String(figures.length) : ""],
            [to("runs", id, "tables"), "tables"],
            [to("runs", id, "network"), "network"],
            [to("runs", id, "report"), "report"],
          ]}
        />
        {here === "findings" && <Findings id={id} cards={cards.value} problem={cards.problem} plan={plan.value} status={status} onLook={setLook} />}
        {here === "plan" &&
          (plan.value ? (
            <>
              {plan.value.notices.length > 0 && (
                <details className="reading">
                  <summary>
                    What to know <span className="muted">{plan.value.notices.length}</span>
                  </summary>
                  <ul className="plain-list">
                    {plan.value.notices.map((one, place) => (
                      <li key={place}>
                        <Told pieces={one} onSource={(source) => setLook({ source })} />
                      </li>
                    ))}
                  </ul>
                </details>
              )}
              <PlanTree plan={plan.value} now={atWork ? nowOf(followed) : new Set()} onLook={setLook} />
            </>
          ) : (
            <Loading what="Plan" />
          ))}
        {here === "figures" && <Figures id={id} figures={figures} plan={plan.value} atWork={open} onLook={setLook} />}
        {here === "tables" && <Tables id={id} plan={plan.value} />}
        {here === "network" && <Network id={id} onLook={setLook} version={`${calm}`} />}
        {here === "report" && <Report id={id} status={status} />}
      </div>
      {chatting && <ChatPanel run={id} onLook={setLook} onClose={closeTalk} over={!roomy} />}
      {look && <SourceSheet key={JSON.stringify(look)} run={id} plan={plan.value} look={look} onClose={() => back(to("runs", id, tab))} />}
    </div>
  );
}

/** Steps that were begun and have not ended. */
function nowOf(followed: Followed): Set<string> {
  const now = new Set<string>();
  for (const one of followed.events) {
    if (one.type === "step_started") now.add(one.subject);
    if (one.type === "step_finished" || one.type === "step_failed") now.delete(one.subject);
  }
  return now;
}

function Progress({ run, plan, followed, cards }: { run: Run; plan: Plan | null; followed: Followed; cards: number | null }) {
  const atWork = AT_WORK.includes(run.status);
  const steps = plan?.objectives.flatMap((one) => one.workflows.flatMap((flow) => flow.steps)) ?? [];
  const done = steps.filter((one) => one.status === "done").length;
  const latest = [...followed.events].reverse().find((one) => ["step_started", "step_finished", "objective_selected"].includes(one.type));
  const told = latest ? String(latest.payload.summary ?? latest.payload.purpose ?? latest.payload.statement ?? "") : "waits for a worker";
  const [, tick] = useState(0);
  useEffect(() => {
    if (!atWork) return;
    const timer = window.setInterval(() => tick((old) => old + 1), 1000);
    return () => window.clearInterval(timer);
  }, [atWork]);
  const seconds = atWork ? (serverNow() - new Date(run.started).getTime()) / 1000 : run.wall_s;
  const left = steps.filter((one) => one.status === "planned").reduce((sum, one) => sum + (one.expected_s ?? 0), 0);
  const asked = used(run);
  return (
    <div className="progress" data-status={run.status} data-events={followed.events.length} data-connection={followed.connection}>
      <div className="progress-line">
        <Badge status={run.status} />
        {plan && (
          <span>
            {counted(done, "step")}
            {steps.length > done && atWork ? ` of ${steps.length} planned` : ""}
          </span>
        )}
        {cards !== null && (cards > 0 || ENDED.includes(run.status)) && <span>{counted(cards, "finding")}</span>}
        {seconds > 0 && (
          <span>
            {duration(seconds)}
            {atWork && left >= 1 && <span className="muted"> of this plan, about {duration(left)} to go</span>}
          </span>
        )}
        {asked && <span title="What the language model was asked">{asked}</span>}
        <span className="muted">seed {run.seed}</span>
        <span className="muted">{run.policy === "rules" ? "decided by rules" : `decided by ${run.policy}`}</span>
        {followed.connection === "lost" && (
          <span className="lost" role="status">
            <span className="spinner small" aria-hidden="true" /> connection lost, trying again
          </span>
        )}
      </div>
      {atWork && (
        <>
          <progress max={Math.max(1, steps.length)} value={done} aria-label="Steps done" />
          <p className="now" aria-live="polite">
            {told}
          </p>
        </>
      )}
      {!atWork && run.stop_reason && !["refused", "failed"].includes(run.status) && <p className="now">Ended: {run.stop_reason}.</p>}
    </div>
  );
}

const TITLE: Record<string, string> = {
  finished: "Nothing was found that holds",
  stopped: "Nothing was found that holds",
  refused: "The data were refused before anything was found",
  failed: "The run failed before anything was found",
  cancelled: "The run was cancelled before anything was found",
};

function Findings({ id, cards, problem, plan, status, onLook }: { id: string; cards: Card[] | null; problem: Problem | null; plan: Plan | null; status: string; onLook: (look: Look) => void }) {
  if (problem) return <Failure problem={problem} />;
  if (!cards) return <Loading what="Findings" />;
  if (!cards.length) {
    return (
      <Empty title={TITLE[status] ?? "No finding yet"}>
        <p className="muted">
          {status === "refused" || status === "failed"
            ? "What was done until then stands in the plan."
            : status === "cancelled"
              ? "“Go on” continues after the last step that was made."
              : !ENDED.includes(status)
            ? "Findings are written when the questions are answered and the error rate of the whole run is known."
            : "What was tried, and why it does not hold, stands in the plan and in the report."}
        </p>
      </Empty>
    );
  }
  return <Cards run={id} cards={cards} plan={plan} onLook={onLook} />;
}

/** What the language model has cost so far; nothing where none was asked. */
function used({ used: spent }: Run): string {
  const calls = spent.llm_calls ?? 0;
  const tokens = spent.llm_tokens ?? 0;
  const money = spent.usd ?? 0;
  if (!calls && !tokens) return "";
  return [calls ? `${calls.toLocaleString("en")} calls` : "", tokens ? `${tokens.toLocaleString("en")} tokens` : "", money ? `${money.toFixed(2)} $` : ""].filter(Boolean).join(", ");
}

interface Drawn {
  step: string;
  tool: string;
  name: string;
  title: string;
}

const KINDS = ["plot_volcano", "plot_heatmap", "plot_set_bars", "plot_activities", "plot_roc"];

/** Tools name a figure by its kind; which of many it is, its step says. */
function titled(name: string, { tool, params }: Step): string {
  const title = name;
  if (!KINDS.includes(tool)) return title;
  const { contrast, variable, axis } = params;
  const about =
    typeof contrast === "object" && contrast !== null && !Array.isArray(contrast)
      ? `${String(contrast.a)} vs ${String(contrast.b)}`
      : typeof variable === "string" && variable
        ? variable
        : typeof axis === "string"
          ? axis
          : "";
  return !about || title.includes(about) || title.includes(":") ? title : `${title}: ${about}`;
}

const figuresOf = (plan: Plan | null): Drawn[] =>
  (plan?.objectives ?? []).flatMap((one) =>
    one.workflows.flatMap((flow) =>
      flow.steps.flatMap((step) =>
        step.outputs
          .filter((output) => output.kind === "figure")
          .map((output) => ({ step: step.id, tool: step.tool, name: output.name, title: titled(output.title || words(output.name), step) })),
      ),
    ),
  );

interface FiguresProps {
  id: string;
  figures: Drawn[];
  plan: Plan | null;
  atWork: boolean;
  onLook: (look: Look) => void;
}

function Figures({ id, figures, plan, atWork, onLook }: FiguresProps) {
  return (
    <>
      {!figures.length && (
        <Empty title="No figure yet">
          <p className="muted">{atWork ? "Figures come with the steps that draw them." : "The run drew none."}</p>
        </Empty>
      )}
      <div className="figures">
        {figures.map((one) => (
          <Figure
            key={`${one.step} ${one.name}`}
            run={id}
            step={one.step}
            tool={one.tool}
            name={one.name}
            title={one.title}
            onStep={(step) => onLook({ step })}
            onPick={(key, figure) => {
              const row = rowOf(figure, key);
              if (row) onLook(row);
            }}
          />
        ))}
      </div>
      {plan && !atWork && <MoreFigures run={id} plan={plan} />}
    </>
  );
}

/** The row that a mark of a figure stands for: that of the table which the figure was drawn from. */
export function rowOf(figure: FigureData, key: string): Look | null {
  const table = figure.inputs.table;
  const slash = table?.lastIndexOf("/") ?? -1;
  if (!table || slash < 0 || !["plot_volcano", "plot_heatmap", "plot_activities"].includes(figure.tool)) return null;
  return { step: table.slice(0, slash), table: table.slice(slash + 1), row: key };
}

function Tables({ id, plan }: { id: string; plan: Plan | null }) {
  const all = (plan?.objectives ?? []).flatMap((one) =>
    one.workflows.flatMap((flow) =>
      flow.steps.flatMap((step) => step.outputs.filter((output) => output.kind === "table" && !output.name.endsWith("_data")).map((output) => ({ step, name: output.name, title: output.title }))),
    ),
  );
  const [chosen, setChosen] = useState("");
  const first = all.find((one) => ["claims", "differential"].includes(one.name)) ?? all[0];
  const current = all.find((one) => `${one.step.id}/${one.name}` === chosen) ?? first;
  if (!plan) return <Loading what="Tables" />;
  if (!current) return <Empty title="No table yet" />;
  return (
    <>
      <label className="table-choice">
        Table
        <select value={`${current.step.id}/${current.name}`} onChange={(event) => setChosen(event.target.value)}>
          {all.map((one) => (
            <option key={`${one.step.id}/${one.name}`} value={`${one.step.id}/${one.name}`}>
              {one.step.id} {one.step.tool}: {words(one.name)}
            </option>
          ))}
        </select>
      </label>
      <TableOfStep key={`${current.step.id}/${current.name}`} run={id} step={current.step} name={current.name} />
    </>
  );
}

function Network({ id, onLook, version }: { id: string; onLook: (look: Look) => void; version: string }) {
  const [limit, setLimit] = useState(120);
  const graph = useLoaded<Graph>(`runs/${id}/graph?limit=${limit}`, version);
  const build = useMemo(() => (graph.value ? network(graph.value) : null), [graph.value]);
  if (graph.problem) return <Failure problem={graph.problem} again={graph.again} />;
  if (!graph.value || !build) return <Loading what="Network" />;
  if (!graph.value.edges.length) {
    return (
      <Empty title="No network yet">
        <p className="muted">What the run says of which things is woven together when its findings are written.</p>
      </Empty>
    );
  }
  return (
    <>
      <p className="muted">
        {graph.value.nodes.length} things, {graph.value.edges.length} of {graph.value.n_total} statements, the best supported first. Click
        a line for its evidence.{" "}
        {graph.value.edges.length < graph.value.n_total && (
          <button type="button" className="quiet small" onClick={() => setLimit(limit * 3)}>
            Show more
          </button>
        )}
      </p>
      <Chart
        label="Network of what the run says of which things"
        build={build}
        height={620}
        onPick={(data) => {
          const edge = graph.value?.edges.find((one) => one.id === (data as { edge?: string }).edge);
          if (edge?.evidence_ids[0]) onLook({ source: edge.evidence_ids[0] });
        }}
      />
    </>
  );
}

function Downloads({ id }: { id: string }) {
  const files: [string, string][] = [
    ["report.html", "Report"],
    ["analysis.ipynb", "Notebook"],
    ["claims.csv", "Claims (CSV)"],
    ["hypotheses.json", "Hypotheses (JSON)"],
    ["ro-crate-metadata.json", "Manifest (RO-Crate)"],
  ];
  const menu = useRef<HTMLDetailsElement>(null);
  const close = () => menu.current?.removeAttribute("open");
  return (
    <details
      ref={menu}
      className="menu"
      onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && event.relatedTarget !== null && close()}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        close();
        menu.current?.querySelector("summary")?.focus();
      }}
    >
      <summary className="button">
        <Icon name="download" size={16} /> Download
      </summary>
      <ul>
        {files.map(([file, label]) => (
          <li key={file}>
            <a href={api(`runs/${id}/report/${file}`)} download={`${id}-${file}`} onClick={close}>
              {label}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Report({ id, status }: { id: string; status: string }) {
  const address = api(`runs/${id}/report`);
  const [written, setWritten] = useState<boolean | null>(ENDED.includes(status) ? true : null);
  useEffect(() => {
    if (ENDED.includes(status)) {
      setWritten(true);
      return;
    }
    const control = new AbortController();
    exists(`runs/${id}/report`, control.signal)
      .then(setWritten)
      .catch(() => undefined); // the server is not reached, which is said elsewhere
    return () => control.abort();
  }, [id, status]);
  if (AT_WORK.includes(status) || status === "waiting") {
    return (
      <Empty title="The report is written when the run ends">
        <p className="muted">Until then, the plan and the figures show how far it is.</p>
      </Empty>
    );
  }
  if (written === null) return <Loading what="Report" />;
  if (!written) {
    return (
      <Empty title="There is no report of this run">
        <p className="muted">
          It was {status} before one was written.
          {RESUMABLE.includes(status) ? " “Go on” continues after the last step that was made." : " What was done stands in the plan."}
        </p>
      </Empty>
    );
  }
  return (
    <>
      <p>
        <a href={address} target="_blank" rel="noreferrer">
          Open the report in a tab of its own
        </a>
      </p>
      <iframe className="report" title="Report" src={address} />
    </>
  );
}
