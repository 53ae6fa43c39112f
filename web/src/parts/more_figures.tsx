import { useEffect, useMemo, useState } from "react";
import { get, query, tablePath } from "../api";
import { Drawing } from "../charts/figure";
import { words } from "../format";
import type { Json, Plan, Step, TablePage } from "../types";
import { drawnBy } from "./drawn_by";

/** Figures that nobody planned: one feature in every sample, cells on a plane. They are drawn when they are asked for. */
export function MoreFigures({ run, plan }: { run: string; plan: Plan }) {
  const steps = useMemo(() => plan.objectives.flatMap((one) => one.workflows.flatMap((flow) => flow.steps)).filter((step) => step.status === "done"), [plan]);
  const tests = useMemo(() => {
    const found = new Map<string, Step>();
    for (const step of steps) {
      const by = TESTS.test(step.tool) ? drawnBy(step) : null;
      if (by && step.outputs.some((one) => one.kind === "table") && !found.has(by.label)) found.set(by.label, step);
    }
    return [...found];
  }, [steps]);
  const cells = [...steps].reverse().find((step) => CELLS.includes(step.tool) && step.outputs.some((one) => one.kind === "dataset"));
  if (!cells && !tests.length) return null;
  return (
    <section className="more-figures">
      <h2>Draw more</h2>
      {cells && <Plane run={run} step={cells} />}
      {tests.length > 0 && !cells && <Feature run={run} tests={tests} />}
    </section>
  );
}

/** Tools whose first table has a row for each feature. */
const TESTS = /^(differential|continuous_association|survival_screen|dose_response|detection|time_course|longitudinal|linear)/;
const CELLS = ["annotate_clusters", "cluster_cells"];
const METHODS: [string, string][] = [
  ["umap", "UMAP"],
  ["tsne", "t-SNE"],
  ["pca", "principal components"],
];

function Plane({ run, step }: { run: string; step: Step }) {
  const [method, setMethod] = useState("umap");
  const [colour, setColour] = useState("");
  const [asked, setAsked] = useState<{ method: string; colour: string } | null>(null);
  const output = step.outputs.find((one) => one.kind === "dataset")?.name ?? "dataset";
  const columns = ["population", "cluster", "sample"];
  return (
    <>
      <form
        className="gate-edit row"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked({ method, colour });
        }}
      >
        <label>
          Cells on a plane of
          <select value={method} onChange={(event) => setMethod(event.target.value)}>
            {METHODS.map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Coloured by
          <select value={colour} onChange={(event) => setColour(event.target.value)}>
            <option value="">what fits</option>
            {columns.map((name) => (
              <option key={name} value={name}>
                {words(name)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit">Draw</button>
      </form>
      {asked && (
        <Drawing
          run={run}
          tool="plot_embedding"
          inputs={{ dataset: `${step.id}/${output}` }}
          params={{ method: asked.method, ...(asked.colour ? { colour: [asked.colour] } : {}) } as Record<string, Json>}
          title={`Cells, ${METHODS.find(([name]) => name === asked.method)?.[1] ?? ""}`}
          height={480}
        />
      )}
    </>
  );
}

const SUGGESTED = 12;

function Feature({ run, tests }: { run: string; tests: [string, Step][] }) {
  const [place, setPlace] = useState(0);
  const step = tests[place]?.[1] ?? tests[0]?.[1];
  const table = step?.outputs.find((one) => one.kind === "table")?.name ?? "";
  const [typed, setTyped] = useState("");
  const [found, setFound] = useState<[string, string][]>([]);
  const [asked, setAsked] = useState<[string, string] | null>(null);
  const id = step?.id ?? "";
  useEffect(() => {
    const control = new AbortController();
    const timer = window.setTimeout(() => {
      get<TablePage>(`${tablePath(run, id, table)}?${query({ limit: SUGGESTED, search: typed.trim() })}&columns=feature&columns=gene`, control.signal)
        .then((page) => setFound(page.rows.map((row) => [String(row[0] ?? ""), String(row[1] ?? "")])))
        .catch(() => undefined);
    }, 200);
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [run, id, table, typed]);
  const by = step ? drawnBy(step) : null;
  const exact = found.find(([feature, gene]) => [feature, gene].some((one) => one.toLowerCase() === typed.trim().toLowerCase())) ?? (typed.trim() ? found[0] : undefined);
  return (
    <>
      <form
        className="gate-edit row"
        onSubmit={(event) => {
          event.preventDefault();
          if (exact) setAsked(exact);
        }}
      >
        <label>
          One feature in every sample
          <input type="search" list="more-features" value={typed} placeholder="gene or protein" onChange={(event) => setTyped(event.target.value)} />
          <datalist id="more-features">
            {found.map(([feature, gene]) => (
              <option key={feature} value={gene && gene !== feature ? gene : feature}>
                {feature}
              </option>
            ))}
          </datalist>
        </label>
        {tests.length > 1 && (
          <label>
            Drawn by
            <select
              value={place}
              onChange={(event) => {
                setPlace(Number(event.target.value));
                setAsked(null);
              }}
            >
              {tests.map(([label], at) => (
                <option key={label} value={at}>
                  {label}
                </option>
              ))}
            </select>
          </label>
        )}
        <button type="submit" disabled={!exact}>
          Draw
        </button>
        {typed.trim() && !found.length && <span className="muted">No feature has this name.</span>}
      </form>
      {asked && by && <Drawing run={run} tool={by.tool} inputs={by.inputs} params={by.params(asked[0])} title={`${asked[1] || asked[0]}: ${by.label}`} height={320} />}
    </>
  );
}
