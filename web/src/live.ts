/** The plan as the stream of events tells it, where that is ahead of what is stored: steps are kept when their question is done. */

import type { Plan, RunEvent, Step } from "./types";

type Told = [string, string, string];

export function withEvents(plan: Plan | null, events: RunEvent[]): Plan | null {
  if (!plan || !events.length) return plan;
  const flows = new Map<string, Told[]>();
  const steps = new Map<string, Pick<Step, "status" | "summary">>();
  const statements = new Map<string, string>();
  const running = new Set<string>();
  for (const event of events) {
    const { type, subject, payload } = event;
    if (type === "workflow_planned" || type === "workflow_refined") flows.set(subject, (payload.steps ?? []) as Told[]);
    else if (type === "step_finished") steps.set(subject, { status: "done", summary: String(payload.summary ?? "") });
    else if (type === "step_failed") steps.set(subject, { status: "failed", summary: String(payload.error ?? "") });
    else if (type === "objective_selected") running.add(subject);
    else if (type === "objective_closed") running.delete(subject);
    if (type.startsWith("objective_") && typeof payload.statement === "string") statements.set(subject, payload.statement);
  }
  const known = new Set(plan.objectives.map((one) => one.id));
  const fresh = [...running].filter((id) => !known.has(id)).map((id) => objective(id, statements.get(id) ?? id));
  return {
    ...plan,
    objectives: [...plan.objectives, ...fresh].map((one) => {
      if (!running.has(one.id)) return one;
      const stored = new Map(one.workflows.flatMap((flow) => flow.steps).map((step) => [step.id, step]));
      const workflows = [...flows]
        .filter(([id]) => id.startsWith(`${one.id}.`))
        .map(([id, told]) => {
          const kept = one.workflows.find((flow) => flow.id === id);
          return {
            id,
            template: kept?.template ?? null,
            version: kept?.version ?? 1,
            edits: kept?.edits ?? [],
            steps: told.map(([step, tool, purpose]) => {
              const seen = stored.get(step);
              return seen?.key ? seen : { ...(seen ?? planned(step, tool, purpose)), ...steps.get(step) };
            }),
          };
        });
      return { ...one, status: "running", workflows: workflows.length ? workflows : one.workflows };
    }),
  };
}

const planned = (id: string, tool: string, purpose: string): Step => ({
  id,
  tool,
  version: null,
  purpose,
  status: "planned",
  params: {},
  inputs: {},
  verdict: null,
  summary: "",
  warnings: [],
  error: null,
  expected_s: null,
  seconds: null,
  key: null,
  seed: null,
  outputs: [],
});

const objective = (id: string, statement: string): Plan["objectives"][number] => ({
  id,
  kind: "",
  statement,
  about: "",
  rationale: "",
  priority: 1,
  status: "running",
  outcome: [],
  parent: null,
  covariates: [],
  by_person: false,
  workflows: [],
});
