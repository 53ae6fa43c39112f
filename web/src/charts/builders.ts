/** Interactive forms of the figures that tools draw: each from the table that the figure was plotted from. */

import type { FigureData } from "../types";
import { bars, missingness, populations, strips } from "./bars";
import type { Builder } from "./chart";
import { heatmap, heightOf, markers } from "./heatmaps";
import { curves, dose, losses, survival } from "./lines";
import { parity, plane, volcano } from "./scatters";

const PLANES: Record<string, string> = { umap: "UMAP", tsne: "t-SNE", pca: "PC" };

const FORMS: Record<string, (figure: FigureData) => Builder | null> = {
  plot_volcano: volcano,
  plot_pca: (figure) => {
    const [one, two] = Array.isArray(figure.params.components) ? figure.params.components : [1, 2];
    const share = (name: string) => (typeof figure.values[name] === "number" ? ` (${(100 * Number(figure.values[name])).toFixed(1)} % of variance)` : "");
    return plane(figure, { x: `PC ${String(one)}${share("ratio_x")}`, y: `PC ${String(two)}${share("ratio_y")}`, by: "factor", shape: "batch" });
  },
  plot_embedding: (figure) => {
    const name = PLANES[String(figure.values.method ?? figure.params.method ?? "")] ?? "axis";
    const by = figure.columns.find((one) => !["cell", "x", "y"].includes(one)) ?? "";
    return plane(figure, { x: `${name} 1`, y: `${name} 2`, by });
  },
  plot_localisation: (figure) => plane(figure, { x: "component 1", y: "component 2", by: "organelle" }),
  plot_missingness: missingness,
  plot_heatmap: heatmap,
  plot_markers: markers,
  plot_survival: survival,
  plot_dose_response: dose,
  plot_learning_curve: losses,
  plot_roc: curves,
  plot_parity: parity,
  plot_populations: populations,
  plot_set_bars: (figure) => bars(figure, "name", figure.columns.includes("effect") ? "effect" : "length", "mean effect of its genes"),
  plot_activities: (figure) => bars(figure, "feature", "effect", "activity"),
  plot_feature: strips,
};

/** Whether a figure of this tool can be drawn here. */
export const interactive = (tool: string) => tool in FORMS;

/** Interactive form of a figure; null where its table does not hold what it takes, and the drawn figure is shown. */
export const builderOf = (figure: FigureData): Builder | null => FORMS[figure.tool]?.(figure) ?? null;

/** Height in pixels that a figure wants. */
export function tallness(figure: FigureData, usual: number): number {
  const rows = figure.rows.length;
  switch (figure.tool) {
    case "plot_heatmap":
      return heightOf(rows);
    case "plot_markers":
      return Math.max(300, 140 + 20 * rows);
    case "plot_set_bars":
    case "plot_activities":
      return 90 + 26 * rows;
    case "plot_survival":
    case "plot_embedding":
    case "plot_localisation":
    case "plot_populations":
      return Math.max(usual, 440);
    default:
      return usual;
  }
}

