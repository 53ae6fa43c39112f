import { useLoaded } from "../hooks";
import { to } from "../route";
import type { Json, Plan, Step } from "../types";
import { Sheet } from "./dialog";
import { Failure, Loading } from "./states";
import { StepDetails, written } from "./step";

/** What is to be looked at: a number's source, or a step. */
export type Look = ({ source: string } | { step: string; table?: string; row?: string }) & {
  /** The run that it belongs to, where that is another one than the page shows. */
  run?: string;
};

/** As part of an address, so that what is looked at can be shared, and the way back closes it. */
export const lookQuery = (look: Look): string => new URLSearchParams(look as Record<string, string>).toString();

export function lookOf(values: URLSearchParams): Look | null {
  const [source, step] = [values.get("source"), values.get("step")];
  const [table, row, run] = [values.get("table"), values.get("row"), values.get("run")];
  const of = run && /^[A-Za-z0-9_-]+$/.test(run) ? { run } : {};
  if (source) return { source, ...of };
  if (step) return { step, ...(table ? { table } : {}), ...(row ? { row } : {}), ...of };
  return null;
}

interface EvidenceAnswer {
  evidence: {
    id: string;
    step_id: string;
    quantity: string;
    value: Json;
    unit: string;
    name: string | null;
    table: string | null;
    row: string | null;
    column: string | null;
  };
  call: CallRecord | null;
}

interface CallRecord {
  key: string;
  spec: { tool: string; version: string; params: Record<string, Json>; seed: number };
  summary: string;
  warnings: string[];
  error: string | null;
  wall_s: number;
  outputs: Record<string, { kind: string; name: string; summary: string; size: number }>;
}

interface Place {
  step: string;
  name?: string;
  table?: string;
  row?: string;
  column?: string;
}

/** Where a number comes from: the row of the table, and the step that computed it. */
export function SourceSheet({ run: here, plan: own, look, onClose }: { run: string; plan: Plan | null; look: Look; onClose: () => void }) {
  const run = look.run ?? here;
  const other = useLoaded<Plan>(run === here ? null : `runs/${run}/plan`);
  const plan = run === here ? own : other.value;
  const source = "source" in look ? look.source : "";
  const evidence = /^E\d+$/.test(source);
  const found = useLoaded<EvidenceAnswer>(evidence ? `runs/${run}/evidence/${source}` : null);
  const elsewhere = run !== here && (
    <p className="muted">
      From another run: <a href={to("runs", run)}>open it</a>
    </p>
  );
  if (evidence) {
    const told = found.value?.evidence;
    return (
      <Sheet title={told ? `${source} · ${told.quantity}` : source} onClose={onClose}>
        {found.problem && <Failure problem={found.problem} again={found.again} />}
        {!found.value && !found.problem && <Loading what="Evidence" />}
        {elsewhere}
        {told && (
          <>
            <Value quantity={told.quantity} value={told.value} unit={told.unit} place={placeOf(told)} />
            <StepDetails
              run={run}
              step={stepOf(plan, told.step_id) ?? asStep(told.step_id, found.value?.call ?? null)}
              table={told.table}
              row={told.row}
              column={told.column}
            />
          </>
        )}
      </Sheet>
    );
  }
  const place: Place | null = "step" in look ? look : parsed(source);
  const step = place ? stepOf(plan, place.step) : null;
  return (
    <Sheet title={place ? `Step ${place.step}` : "Where it comes from"} onClose={onClose}>
      {elsewhere}
      {place?.name && <Value quantity={place.name} value={null} unit="" place={`value of step ${place.step}`} />}
      {step ? (
        <StepDetails run={run} step={step} table={place?.table ?? null} row={place?.row ?? null} column={place?.column ?? null} />
      ) : plan === null ? (
        other.problem ? <Failure problem={other.problem} again={other.again} /> : <Loading what="Plan" />
      ) : (
        <p>
          This number is read from the record of the run itself: <code className="breakable">{source}</code>
        </p>
      )}
    </Sheet>
  );
}

function Value({ quantity, value, unit, place }: { quantity: string; value: Json; unit: string; place: string }) {
  return (
    <div className="value-card">
      <span className="muted">{quantity}</span>
      {value !== null && (
        <strong>
          {written(value)} {unit}
        </strong>
      )}
      <span className="muted small-text">{place}</span>
    </div>
  );
}

const placeOf = (told: EvidenceAnswer["evidence"]) =>
  told.name !== null
    ? `value “${told.name}” of step ${told.step_id}`
    : `step ${told.step_id} › table ${told.table ?? ""} › row ${told.row ?? ""} › column ${told.column ?? ""}`;

export const stepOf = (plan: Plan | null, id: string): Step | null =>
  plan?.objectives.flatMap((one) => one.workflows.flatMap((flow) => flow.steps)).find((step) => step.id === id) ?? null;

function asStep(id: string, call: CallRecord | null): Step {
  return {
    id,
    tool: call?.spec.tool ?? "",
    version: call?.spec.version ?? null,
    purpose: "a step that later left the plan, and that evidence still rests on",
    status: call?.error ? "failed" : "done",
    params: call?.spec.params ?? {},
    inputs: {},
    verdict: null,
    summary: call?.summary ?? "",
    warnings: call?.warnings ?? [],
    error: call?.error ?? null,
    expected_s: null,
    seconds: call?.wall_s ?? null,
    key: call?.key ?? null,
    seed: call?.spec.seed ?? null,
    outputs: Object.entries(call?.outputs ?? {}).map(([name, one]) => ({ name, kind: one.kind, title: one.summary, size: one.size })),
  };
}

/** ``cell:<step>/<table>/<row>/<column>``, ``value:<step>/<name>`` and its short form ``<step>.<name>``. */
function parsed(source: string): Place | null {
  const colon = source.indexOf(":");
  if (colon < 0) {
    const dot = source.lastIndexOf(".");
    return dot > 0 ? { step: source.slice(0, dot), name: source.slice(dot + 1) } : null;
  }
  const [step = "", second = "", row, column] = source.slice(colon + 1).split("/").map(decodeURIComponent);
  switch (source.slice(0, colon)) {
    case "cell":
      return { step, table: second, ...(row === undefined ? {} : { row }), ...(column === undefined ? {} : { column }) };
    case "rows":
    case "matches":
      return { step, table: second };
    case "value":
    case "param":
    case "summary":
    case "warning":
      return { step, name: second };
    default:
      return null;
  }
}
