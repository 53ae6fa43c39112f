import { useMemo, useState } from "react";
import { api } from "../api";
import { size, when, words } from "../format";
import { useLoaded, useTitle } from "../hooks";
import { Icon } from "../parts/icons";
import { inline } from "../parts/markdown";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { Tabs } from "../parts/tabs";
import { to } from "../route";
import type { Job, Json, Tool, ToolDetails } from "../types";

/** What there is to work with: tools, methods, trained models, and actions that were learned. */
export function LibraryPage({ tab: asked, name }: { tab: string; name: string }) {
  useTitle("Library");
  const tab = ["tools", "methods", "trained", "actions"].includes(asked) ? asked : "tools";
  const actions = useLoaded<Record<string, Json>[]>("actions");
  const has = actions.value !== null;
  return (
    <>
      <div className="page-head">
        <h1>Library</h1>
      </div>
      <Tabs
        label="Parts of the library"
        here={tab}
        items={[
          [to("library", "tools"), "tools"],
          [to("library", "methods"), "methods"],
          [to("library", "trained"), "trained"],
          ...(has ? ([[to("library", "actions"), "actions", String(actions.value?.length ?? 0)]] as [string, string, string][]) : []),
        ]}
      />
      {tab === "tools" && <Tools name={name} />}
      {tab === "methods" && <Methods name={name} />}
      {tab === "trained" && <Trained />}
      {tab === "actions" && has && <Actions actions={actions.value ?? []} />}
      {tab === "actions" && !has && (actions.problem ? <Failure problem={actions.problem} again={actions.again} /> : <Loading what="Actions" />)}
    </>
  );
}

const FAMILIES: [string, RegExp][] = [
  ["Reading and preparing", /^(load|read|annotate|profile|quality|normal|filter|impute|aggregate|correct|reference|summar|join|merge|split|prepare|transform|scale|harmon)/],
  ["Figures", /^plot_|^draw/],
  ["Trainable methods", /^fit_/],
];

function Tools({ name }: { name: string }) {
  const tools = useLoaded<Tool[]>("tools");
  const [search, setSearch] = useState("");
  const groups = useMemo(() => {
    const made = new Map<string, Tool[]>();
    const text = search.trim().toLowerCase();
    for (const tool of tools.value ?? []) {
      if (text && !`${tool.name} ${tool.summary}`.toLowerCase().includes(text)) continue;
      const family = FAMILIES.find(([, pattern]) => pattern.test(tool.name))?.[0] ?? "Analysis";
      made.set(family, [...(made.get(family) ?? []), tool]);
    }
    return [...made].sort(([a], [b]) => (a === "Analysis" ? -1 : b === "Analysis" ? 1 : a < b ? -1 : 1));
  }, [tools.value, search]);
  if (tools.problem) return <Failure problem={tools.problem} again={tools.again} />;
  if (!tools.value) return <Loading what="Tools" />;
  return (
    <div className="library">
      <div className={name ? "library-list narrow" : "library-list"}>
        <input type="search" placeholder={`Search ${tools.value.length} tools`} aria-label="Search tools" value={search} onChange={(event) => setSearch(event.target.value)} />
        {groups.map(([family, members]) => (
          <section key={family}>
            <h2>
              {family} <span className="muted">{members.length}</span>
            </h2>
            <ul className="list">
              {members.map((tool) => (
                <li key={tool.name}>
                  <a className="list-row" href={to("library", "tools", tool.name)} aria-current={tool.name === name ? "true" : undefined}>
                    <code>{tool.name}</code>
                    <span className="list-main muted">{tool.summary}</span>
                    {tool.capability !== "compute" && <Badge status="planned">{tool.capability}</Badge>}
                  </a>
                </li>
              ))}
            </ul>
          </section>
        ))}
        {!groups.length && <Empty title="No tool matches" />}
      </div>
      {name && <ToolCard name={name} />}
    </div>
  );
}

function ToolCard({ name }: { name: string }) {
  const tool = useLoaded<ToolDetails>(`tools/${encodeURIComponent(name)}`);
  if (tool.problem) {
    const gone = tool.problem.status === 404;
    return (
      <div className="details-card">
        <Failure problem={gone ? { ...tool.problem, mend: "look for it in the list" } : tool.problem} again={tool.again} />
      </div>
    );
  }
  if (!tool.value) return <Loading what="Tool" />;
  const parameters = Object.entries(tool.value.parameters.properties ?? {});
  return (
    <article className="details-card">
      <header>
        <h2>
          <code>{tool.value.name}</code>
        </h2>
        <a href={to("library", "tools")} className="quiet icon" aria-label="Close">
          <Icon name="close" size={16} />
        </a>
      </header>
      <p>{tool.value.summary}</p>
      <p className="muted">
        version {tool.value.version} · takes {tool.value.inputs.map((one) => told(one.name, one.kind)).join(", ") || "nothing"} · gives{" "}
        {tool.value.outputs.map((one) => told(one.split(":")[1] ?? one, one.split(":")[0] ?? "")).join(", ") || "values"}
      </p>
      {parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <dl className="params">
            {parameters.map(([label, one]) => (
              <div key={label}>
                <dt>
                  <code>{label}</code>
                  {one.default !== undefined && <span className="muted"> = {JSON.stringify(one.default)}</span>}
                </dt>
                <dd>{inline(one.description ?? "")}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
      <h3>Documentation</h3>
      <pre className="doc" tabIndex={0}>
        {dedented(tool.value.documentation)}
      </pre>
    </article>
  );
}

/** ``differential (table)``; a kind that the name says already is left out. */
const told = (name: string, kind: string) => (name === kind || !kind ? words(name) : `${words(name)} (${kind})`);

/** A docstring without the indentation of its place in the source. */
function dedented(text: string): string {
  const lines = text.split("\n");
  const depths = lines.slice(1).filter((line) => line.trim()).map((line) => line.length - line.trimStart().length);
  const depth = depths.length ? Math.min(...depths) : 0;
  return lines.map((line, at) => (at ? line.slice(depth) : line.trim())).join("\n").trim();
}

type CardFields = Record<string, Json>;

function Methods({ name }: { name: string }) {
  const methods = useLoaded<CardFields[]>("methods");
  if (methods.problem) return <Failure problem={methods.problem} again={methods.again} />;
  if (!methods.value) return <Loading what="Methods" />;
  const chosen = methods.value.find((one) => one.name === name);
  return (
    <div className="library">
      <ul className={chosen ? "method-cards narrow" : "method-cards"}>
        {methods.value.map((one) => (
          <li key={String(one.name)}>
            <a href={to("library", "methods", String(one.name))} className="method-card" aria-current={one.name === name ? "true" : undefined}>
              <strong>{String(one.title ?? one.name)}</strong>
              <span className="muted">{inline(String(one.summary ?? one.purpose ?? one.task ?? ""))}</span>
              {one.status !== undefined && <Badge status="planned">{String(one.status)}</Badge>}
            </a>
          </li>
        ))}
      </ul>
      {chosen && (
        <article className="details-card">
          <header>
            <h2>{String(chosen.title ?? chosen.name)}</h2>
            <a href={to("library", "methods")} className="quiet icon" aria-label="Close">
              <Icon name="close" size={16} />
            </a>
          </header>
          <Fields fields={chosen} />
        </article>
      )}
    </div>
  );
}

/** Whatever a card says, in its own words. */
function Fields({ fields }: { fields: CardFields }) {
  return (
    <dl className="params">
      {Object.entries(fields)
        .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && !value.length))
        .map(([label, value]) => (
          <div key={label}>
            <dt>{words(label)}</dt>
            <dd>
              <Value value={value} />
            </dd>
          </div>
        ))}
    </dl>
  );
}

function Value({ value }: { value: Json }) {
  if (Array.isArray(value)) {
    return (
      <ul className="plain-list">
        {value.map((one, place) => (
          <li key={place}>
            <Value value={one} />
          </li>
        ))}
      </ul>
    );
  }
  if (typeof value === "object" && value !== null) return <Fields fields={value} />;
  return <>{typeof value === "string" ? inline(value) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value)}</>;
}

function Trained() {
  const jobs = useLoaded<Job[]>("jobs?kind=tool&limit=500");
  if (jobs.problem) return <Failure problem={jobs.problem} again={jobs.again} />;
  if (!jobs.value) return <Loading what="Trained models" />;
  const trained = jobs.value.flatMap((job) =>
    Object.entries(job.result.outputs ?? {})
      .filter(([, output]) => output.kind === "model")
      .map(([name, output]) => ({ job, name, output })),
  );
  if (!trained.length) {
    return (
      <Empty title="No model was trained here yet">
        <p className="muted">
          Methods are trained by their tools: <code>client.call("fit_unimatch", …)</code> in Python, or <code>nereus methods fit</code>.
        </p>
      </Empty>
    );
  }
  return (
    <ul className="list">
      {trained.map(({ job, name, output }) => (
        <li key={`${job.id} ${name}`} className="list-row">
          <code>{job.tool}</code>
          <span className="list-main">{job.result.summary}</span>
          <span className="muted">{size(output.size)}</span>
          <span className="muted">{when(job.created_at)}</span>
          <a href={api(`jobs/${job.id}/outputs/${encodeURIComponent(name)}`)} download aria-label={`Download ${name}`}>
            <Icon name="download" size={16} />
          </a>
        </li>
      ))}
    </ul>
  );
}

function Actions({ actions }: { actions: CardFields[] }) {
  if (!actions.length) {
    return (
      <Empty title="Nothing was learned yet">
        <p className="muted">Actions are small functions that earlier work has taught, each with tests and a track record.</p>
      </Empty>
    );
  }
  return (
    <ul className="method-cards">
      {actions.map((one, place) => (
        <li key={place}>
          <details className="method-card">
            <summary>
              <strong>{String(one.name ?? one.id)}</strong> <span className="muted">{String(one.description ?? "")}</span>
            </summary>
            <Fields fields={one} />
          </details>
        </li>
      ))}
    </ul>
  );
}
