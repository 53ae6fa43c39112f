/** How one feature of a step's table is to be drawn: by what the step compared, followed or waited for. */

import type { Json, Step } from "../types";

export interface DrawnBy {
  tool: string;
  /** Input of the tool to `<step>/<output>`. */
  inputs: Record<string, string>;
  params: (feature: string) => Record<string, Json>;
  label: string;
}

const OUTCOME = ["time", "event", "event_level", "covariates", "strata", "subset", "subject", "min_events"];

export function drawnBy(step: Step): DrawnBy | null {
  const dataset = step.inputs.dataset;
  if (!dataset) return null;
  const { contrast, variable, time, event, dose, curve } = step.params;
  if (typeof time === "string" && typeof event === "string") {
    const outcome = Object.fromEntries(OUTCOME.flatMap((name) => (step.params[name] === undefined || step.params[name] === null ? [] : [[name, step.params[name] ?? null]])));
    return { tool: "plot_survival", inputs: { dataset }, params: (feature) => ({ feature, ...outcome }), label: `${time} until ${event}` };
  }
  if (typeof contrast === "object" && contrast !== null && !Array.isArray(contrast)) {
    return { tool: "plot_feature", inputs: { dataset }, params: (feature) => ({ feature, contrast }), label: `${String(contrast.a)} against ${String(contrast.b)}` };
  }
  if (step.tool === "dose_response" && typeof dose === "string") {
    return { tool: "plot_dose_response", inputs: { dataset }, params: (feature) => ({ feature, dose, ...(curve ? { curve } : {}) }), label: `by ${dose}` };
  }
  if (typeof variable === "string" && variable) {
    return { tool: "plot_feature", inputs: { dataset }, params: (feature) => ({ feature, variable }), label: `by ${variable}` };
  }
  return null;
}
