import { useEffect, useRef, useState } from "react";
import { send } from "../api";
import { problemFrom, useLoaded } from "../hooks";
import type { Approval, Json, Problem } from "../types";
import { Failure } from "./states";
import { written } from "./step";

type Fields = Record<string, Json>;

/** Questions that the run asks before it goes on. */
export function Approvals({ run, version, onAnswered }: { run: string; version: unknown; onAnswered: () => void }) {
  const open = useLoaded<Approval[]>(`runs/${run}/approvals?pending=true`, version);
  const [all, setAll] = useState(() => steps.has(run));
  if (open.problem) return <Failure problem={open.problem} again={open.again} />;
  return (
    <>
      <p className="sr" role="status">
        {open.value?.length ? "The run asks, and waits for your answer." : ""}
      </p>
      {(open.value ?? []).map((one) => (
        <Question
          key={one.id}
          run={run}
          approval={one}
          all={all}
          onAll={() => {
            steps.add(run);
            setAll(true);
          }}
          onAnswered={() => {
            open.again();
            onAnswered();
          }}
        />
      ))}
    </>
  );
}

/** Runs whose single steps are approved without asking, as long as the page is open. */
const steps = new Set<string>();

const TITLES: Record<string, string> = {
  objectives: "These questions would be asked. Do they make sense?",
  workflow: "This is how the question would be answered. May it go on?",
  tool: "This step needs your word.",
  report: "The findings are ready to be written up.",
};

interface QuestionProps {
  run: string;
  approval: Approval;
  all: boolean;
  onAll: () => void;
  onAnswered: () => void;
}

function Question({ run, approval, all, onAll, onAnswered }: QuestionProps) {
  const [answer, setAnswer] = useState<Fields>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const request = approval.request;
  const give = (approve: boolean) => {
    setBusy(true);
    setProblem(null);
    send(`runs/${run}/approvals/${encodeURIComponent(approval.id)}`, approve ? { approve, ...answer } : { approve })
      .then(onAnswered)
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setBusy(false));
  };
  const gate = String(request.gate ?? approval.kind);
  const edited = Object.keys(answer).length > 0;
  const goesOn = all && gate === "tool";
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    // Who has just answered the question before goes on with this one; nobody is taken away from elsewhere.
    if (document.activeElement === document.body) box.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    if (goesOn) give(true);
    // Once for each question: it is mounted anew for the next.
  }, [goesOn]);
  if (goesOn && !problem) {
    return (
      <p className="muted working" role="status">
        <span className="spinner small" aria-hidden="true" /> {String(request.tool)}: approved with the others
      </p>
    );
  }
  return (
    <section ref={box} className="approval" aria-label="A question of the run" tabIndex={-1}>
      <h2>{TITLES[gate] ?? "The run asks before it goes on."}</h2>
      {gate === "objectives" && <Objectives request={request} answer={answer} onChange={setAnswer} />}
      {gate === "workflow" && <WorkflowGate request={request} answer={answer} onChange={setAnswer} />}
      {gate === "tool" && <ToolGate request={request} answer={answer} onChange={setAnswer} />}
      {problem && <Failure problem={problem} />}
      <div className="actions">
        <button type="button" className="primary" disabled={busy} onClick={() => give(true)}>
          {edited ? "Go on with my changes" : "Approve"}
        </button>
        {gate === "tool" && (
          <button type="button" disabled={busy} onClick={onAll} title="as long as this page is open">
            Approve all further steps
          </button>
        )}
        <button type="button" disabled={busy} onClick={() => give(false)}>
          {gate === "report" ? "Stop here" : gate === "objectives" ? "Ask none of these" : "Leave it out"}
        </button>
      </div>
    </section>
  );
}

interface GateProps {
  request: Fields;
  answer: Fields;
  onChange: (answer: Fields) => void;
}

/** An answer without the fields that say nothing. */
const trimmed = (fields: Fields): Fields =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : typeof value === "object" && value ? Object.keys(value).length > 0 : true)),
  );

function Objectives({ request, answer, onChange }: GateProps) {
  const asked = (request.objectives ?? []) as Fields[];
  const columns = (request.columns ?? []) as string[];
  const levels = (request.levels ?? {}) as Record<string, string[]>;
  const dropped = (answer.drop ?? []) as string[];
  const edits = (answer.edit ?? {}) as Record<string, Fields>;
  const added = (answer.add ?? []) as Fields[];
  const set = (changes: Fields) => onChange(trimmed({ ...answer, ...changes }));
  const edit = (id: string, changes: Fields) => set({ edit: { ...edits, [id]: { ...edits[id], ...changes } } });
  return (
    <>
      <ul className="gate-list">
        {asked.map((one) => {
          const id = String(one.id);
          const contrast = one.contrast as Fields | null;
          const known = ((one.covariates as string[] | undefined)?.length ? one.covariates : (contrast?.covariates ?? [])) as string[];
          const covariates = (edits[id]?.covariates ?? known) as string[];
          const kept = !dropped.includes(id);
          const free = columns.filter((name) => name !== contrast?.factor && name !== one.variable);
          return (
            <li key={id} className={kept ? "" : "left-out"}>
              <label className="check">
                <input
                  type="checkbox"
                  checked={kept}
                  onChange={() => set({ drop: kept ? [...dropped, id] : dropped.filter((name) => name !== id) })}
                />
                <span>
                  <span className="id">{id}</span> {String(one.statement)}
                </span>
              </label>
              {kept && (
                <details>
                  <summary>Adjust</summary>
                  <div className="gate-edit">
                    <label>
                      Priority
                      <input
                        type="range"
                        min="0"
                        max="1"
                        step="0.05"
                        value={Number(edits[id]?.priority ?? one.priority)}
                        onChange={(event) => edit(id, { priority: Number(event.target.value) })}
                      />
                      <output>{Number(edits[id]?.priority ?? one.priority).toFixed(2)}</output>
                    </label>
                    <fieldset>
                      <legend>Adjust for</legend>
                      {free.map((name) => (
                        <label key={name} className="check inline">
                          <input
                            type="checkbox"
                            checked={covariates.includes(name)}
                            onChange={(event) =>
                              edit(id, { covariates: event.target.checked ? [...covariates, name] : covariates.filter((other) => other !== name) })
                            }
                          />
                          {name}
                        </label>
                      ))}
                    </fieldset>
                  </div>
                </details>
              )}
            </li>
          );
        })}
      </ul>
      {added.map((one, place) => (
        <p key={place} className="added">
          Added: {String(one.statement)}{" "}
          <button type="button" className="quiet small" onClick={() => set({ add: added.filter((_, at) => at !== place) })}>
            Remove
          </button>
        </p>
      ))}
      <AddContrast levels={levels} onAdd={(one) => set({ add: [...added, one] })} />
    </>
  );
}

function AddContrast({ levels, onAdd }: { levels: Record<string, string[]>; onAdd: (one: Fields) => void }) {
  const factors = Object.keys(levels).filter((name) => (levels[name]?.length ?? 0) > 1);
  const [factor, setFactor] = useState(factors[0] ?? "");
  const groups = levels[factor] ?? [];
  const [a, setA] = useState("");
  const [b, setB] = useState("");
  if (!factors.length) return null;
  const first = groups.includes(a) ? a : (groups[0] ?? "");
  const second = groups.includes(b) ? b : (groups[1] ?? "");
  return (
    <details>
      <summary>Ask for a comparison of your own</summary>
      <div className="gate-edit row">
        <label>
          Column
          <select value={factor} onChange={(event) => setFactor(event.target.value)}>
            {factors.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Group
          <select value={first} onChange={(event) => setA(event.target.value)}>
            {groups.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          against
          <select value={second} onChange={(event) => setB(event.target.value)}>
            {groups.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <button
          type="button"
          disabled={first === second}
          onClick={() =>
            onAdd({
              kind: "differential",
              statement: `Which features differ between ${first} and ${second} (${factor})?`,
              contrast: { factor, a: first, b: second },
            })
          }
        >
          Add
        </button>
      </div>
    </details>
  );
}

function WorkflowGate({ request, answer, onChange }: GateProps) {
  const workflow = (request.workflow ?? {}) as Fields;
  const steps = (workflow.steps ?? []) as Fields[];
  const dropped = (answer.drop ?? []) as string[];
  const params = (answer.params ?? {}) as Record<string, Fields>;
  const set = (changes: Fields) => onChange(trimmed({ ...answer, ...changes }));
  return (
    <>
      <p className="muted">{String(((request.objective ?? {}) as Fields).statement ?? "")}</p>
      <ul className="gate-list">
        {steps.map((step) => {
          const id = String(step.id);
          const kept = !dropped.includes(id);
          return (
            <li key={id} className={kept ? "" : "left-out"}>
              <label className="check">
                <input
                  type="checkbox"
                  checked={kept}
                  onChange={() => set({ drop: kept ? [...dropped, id] : dropped.filter((name) => name !== id) })}
                />
                <span>
                  <code>{String(step.tool)}</code> {String(step.purpose)}
                </span>
              </label>
              {kept && (
                <Settings
                  values={{ ...((step.params ?? {}) as Fields), ...params[id] }}
                  onChange={(name, value) => set({ params: { ...params, [id]: { ...params[id], [name]: value } } })}
                />
              )}
            </li>
          );
        })}
      </ul>
    </>
  );
}

function ToolGate({ request, answer, onChange }: GateProps) {
  const params = (answer.params ?? {}) as Fields;
  return (
    <>
      <p>
        <code>{String(request.tool)}</code> {written(request.purpose ?? "")}
      </p>
      <Settings
        values={{ ...((request.params ?? {}) as Fields), ...params }}
        onChange={(name, value) => onChange({ ...answer, params: { ...params, [name]: value } })}
      />
    </>
  );
}

/** Plain parameters of a step, to be changed; nested ones are shown. */
function Settings({ values, onChange }: { values: Fields; onChange: (name: string, value: Json) => void }) {
  const names = Object.keys(values);
  if (!names.length) return null;
  return (
    <details>
      <summary>Parameters</summary>
      <div className="gate-edit">
        {names.map((name) => {
          const value = values[name] ?? null;
          if (typeof value === "object" && value !== null) {
            return (
              <p key={name} className="muted small-text">
                {name}: <code className="breakable">{written(value)}</code>
              </p>
            );
          }
          if (typeof value === "boolean") {
            return (
              <label key={name} className="check inline">
                <input type="checkbox" checked={value} onChange={(event) => onChange(name, event.target.checked)} />
                {name}
              </label>
            );
          }
          return (
            <label key={name}>
              {name}
              <input
                type={typeof value === "number" ? "number" : "text"}
                step="any"
                value={value === null ? "" : String(value)}
                onChange={(event) => onChange(name, typeof value === "number" ? Number(event.target.value) : event.target.value || null)}
              />
            </label>
          );
        })}
      </div>
    </details>
  );
}
