import { useEffect, useMemo, useRef, useState } from "react";
import { api, send } from "../api";
import { Chart } from "../charts/chart";
import { Figure } from "../charts/figure";
import { network } from "../charts/network";
import { duration, when, words } from "../format";
import { problemFrom, useEvents, useLoaded, useMedia, useTitle, type Followed } from "../hooks";
import { Approvals } from "../parts/approvals";
import { Cards } from "../parts/cards";
import { withEvents } from "../live";
import { ChatPanel, useChat } from "../parts/chat";
import { Icon } from "../parts/icons";
import { PlanTree } from "../parts/plan";
import { SourceSheet, type Look } from "../parts/source";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { StepTable } from "../parts/table";
import { Tabs } from "../parts/tabs";
import { Told } from "../parts/text";
import { to } from "../route";
import type { Card, Graph, Plan, Problem, Run } from "../types";

const AT_WORK = ["queued", "running"];
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

/** One run, while it works and when it has ended. */
export function RunPage({ id, tab }: { id: string; tab: string }) {
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
  const [look, setLook] = useState<Look | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [talk, setTalk] = useState(false);
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
  if (run.problem && !run.value) return <Failure problem={run.problem} again={run.again} />;
  if (!run.value) return <Loading what="Run" />;
  const status = run.value.status;
  const atWork = AT_WORK.includes(status);
  const open = atWork || status === "waiting";
  const here = tab === "findings" && (cards.value?.length ?? 0) === 0 && open ? "plan" : tab;
  const figures = figuresOf(plan.value);
  const chatting = talk && chat.available;
  return (
    <div className={chatting && roomy ? "with-chat" : undefined}>
      <div className="run-main">
        <div className="page-head">
          <div>
            <p className="overline">
              {run.value.inputs.data} · {when(run.value.started)}
            </p>
            <h1>{run.value.question ?? "What is in these data?"}</h1>
          </div>
          <div className="actions">
            {chat.available && (
              <button type="button" aria-pressed={chatting} onClick={() => setTalk(!talk)}>
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
            {status === "finished" && <Downloads id={id} />}
          </div>
        </div>
        <Progress run={run.value} plan={plan.value} followed={followed} cards={cards.value?.length ?? 0} />
        {problem && <Failure problem={problem} />}
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
              mend: status === "refused" ? "correct the file or its sample sheet, and start a new run" : "go on with it, or start a new run",
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
        {here === "figures" && <Figures id={id} figures={figures} onLook={setLook} />}
        {here === "tables" && <Tables id={id} plan={plan.value} />}
        {here === "network" && <Network id={id} onLook={setLook} version={`${calm}`} />}
        {here === "report" && <Report id={id} status={status} />}
      </div>
      {chatting && <ChatPanel run={id} onLook={setLook} onClose={() => setTalk(false)} over={!roomy} />}
      {look && <SourceSheet key={JSON.stringify(look)} run={id} plan={plan.value} look={look} onClose={() => setLook(null)} />}
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

function Progress({ run, plan, followed, cards }: { run: Run; plan: Plan | null; followed: Followed; cards: number }) {
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
  const seconds = atWork ? (Date.now() - new Date(run.started).getTime()) / 1000 : run.wall_s;
  return (
    <div className="progress" data-status={run.status} data-events={followed.events.length} data-connection={followed.connection}>
      <div className="progress-line">
        <Badge status={run.status} />
        <span>
          {done} steps{steps.length > done && atWork ? ` of ${steps.length} planned` : ""}
        </span>
        <span>{cards} findings</span>
        {seconds > 0 && <span>{duration(seconds)}</span>}
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

function Findings({ id, cards, problem, plan, status, onLook }: { id: string; cards: Card[] | null; problem: Problem | null; plan: Plan | null; status: string; onLook: (look: Look) => void }) {
  if (problem) return <Failure problem={problem} />;
  if (!cards) return <Loading what="Findings" />;
  if (!cards.length) {
    return (
      <Empty title={AT_WORK.includes(status) ? "No finding yet" : "Nothing was found that holds"}>
        <p className="muted">
          {AT_WORK.includes(status)
            ? "Findings are written when the questions are answered and the error rate of the whole run is known."
            : "What was tried, and why it does not hold, stands in the plan and in the report."}
        </p>
      </Empty>
    );
  }
  return <Cards run={id} cards={cards} plan={plan} onLook={onLook} />;
}

interface Drawn {
  step: string;
  tool: string;
  name: string;
  title: string;
  about: string;
}

const figuresOf = (plan: Plan | null): Drawn[] =>
  (plan?.objectives ?? []).flatMap((one) =>
    one.workflows.flatMap((flow) =>
      flow.steps.flatMap((step) =>
        step.outputs
          .filter((output) => output.kind === "figure")
          .map((output) => ({ step: step.id, tool: step.tool, name: output.name, title: output.title || words(output.name), about: one.about })),
      ),
    ),
  );

function Figures({ id, figures, onLook }: { id: string; figures: Drawn[]; onLook: (look: Look) => void }) {
  if (!figures.length) return <Empty title="No figure yet" />;
  return (
    <div className="figures">
      {figures.map((one) => (
        <Figure key={`${one.step} ${one.name}`} run={id} step={one.step} tool={one.tool} name={one.name} title={one.title} onStep={(step) => onLook({ step })} />
      ))}
    </div>
  );
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
      <StepTable key={`${current.step.id}/${current.name}`} run={id} step={current.step.id} name={current.name} />
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
  return (
    <details className="menu">
      <summary className="button">
        <Icon name="download" size={16} /> Download
      </summary>
      <ul>
        {files.map(([file, label]) => (
          <li key={file}>
            <a href={api(`runs/${id}/report/${file}`)} download={`${id}-${file}`}>
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
  if (AT_WORK.includes(status) || status === "waiting") {
    return (
      <Empty title="The report is written when the run ends">
        <p className="muted">Until then, the plan and the figures show how far it is.</p>
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
