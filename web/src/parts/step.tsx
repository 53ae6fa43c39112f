import { useState } from "react";
import { Drawing, Figure } from "../charts/figure";
import { duration, size, words } from "../format";
import type { Json, Step } from "../types";
import { drawnBy } from "./drawn_by";
import { Icon } from "./icons";
import { Badge } from "./states";
import { StepTable } from "./table";

/** One step: what was called, with what, and what came out. */
export function StepDetails({ run, step, table, row, column }: { run: string; step: Step; table?: string | null; row?: string | null; column?: string | null }) {
  const tables = step.outputs.filter((one) => one.kind === "table");
  const figures = step.outputs.filter((one) => one.kind === "figure");
  const [open, setOpen] = useState<string | null>(table ?? null);
  return (
    <div className="step-details">
      <p className="step-line">
        <Badge status={step.status} />
        <code>{step.tool}</code>
        {step.version && <span className="muted">version {step.version}</span>}
        {step.seconds !== null && <span className="muted">{duration(step.seconds)}</span>}
        {step.seed !== null && <span className="muted">seed {step.seed}</span>}
      </p>
      <p>{step.purpose}</p>
      {step.summary && <p className="summary">{step.summary}</p>}
      {step.error && <p className="bad-text">{step.error}</p>}
      {step.warnings.map((warning) => (
        <p key={warning} className="warning-line">
          <Icon name="warning" size={15} /> {warning}
        </p>
      ))}
      {open && (
        <section>
          <h3>{words(open)}</h3>
          <TableOfStep key={open} run={run} step={step} name={open} row={open === table ? (row ?? null) : null} column={column ?? null} />
        </section>
      )}
      {figures.map((one) => (
        <Figure key={one.name} run={run} step={step.id} tool={step.tool} name={one.name} title={one.title || words(one.name)} />
      ))}
      {tables.length > 0 && (
        <section>
          <h3>Tables</h3>
          <ul className="chips">
            {tables.map((one) => (
              <li key={one.name}>
                <button type="button" className="chip" aria-pressed={open === one.name} onClick={() => setOpen(open === one.name ? null : one.name)} title={one.title}>
                  <Icon name="table" size={14} /> {words(one.name)}
                  <span className="muted">{size(one.size)}</span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      <details>
        <summary>Parameters and key</summary>
        <Parameters values={step.params} />
        {step.key && (
          <p className="muted small-text">
            Key of the call: <code className="breakable">{step.key}</code>
          </p>
        )}
      </details>
    </div>
  );
}

interface TableProps {
  run: string;
  step: Step;
  name: string;
  row?: string | null;
  column?: string | null;
}

/** A table of a step; where its rows are features of a test, a click on one draws its values in every sample. */
export function TableOfStep({ run, step, name, row = null, column = null }: TableProps) {
  const [picked, setPicked] = useState<string | null>(row);
  const [title, setTitle] = useState(row ?? "");
  const by = drawnBy(step);
  return (
    <>
      <StepTable run={run} step={step.id} name={name} row={row} column={column} {...(by
          ? {
              picked,
              picks: "feature",
              onPick: (key: string, gene: string) => {
                setPicked(key);
                setTitle(gene);
              },
            }
          : {})} />
      {by && picked !== null && (
        <div className="drawn-row">
          <Drawing run={run} tool={by.tool} inputs={by.inputs} params={by.params(picked)} title={`${title}: ${by.label}`} height={260} />
        </div>
      )}
    </>
  );
}

export function Parameters({ values }: { values: Record<string, Json> }) {
  const names = Object.keys(values);
  if (!names.length) return <p className="muted">Defaults.</p>;
  return (
    <dl className="params">
      {names.map((name) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>{written(values[name] ?? null)}</dd>
        </div>
      ))}
    </dl>
  );
}

export const written = (value: Json): string =>
  value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
