/** Figures of coloured cells: features over samples, markers over groups of cells. */

import { short, words } from "../format";
import type { FigureData } from "../types";
import type { Builder } from "./chart";
import { Columns } from "./columns";
import { clipped, contrastOf, reach } from "./marks";
import { axis, group, tooltip } from "./palette";

const NAMED_ROWS = 60;

/** Height that a heat map wants. */
export const heightOf = (rows: number) => Math.min(900, Math.max(260, 130 + 15 * rows));

/** z-scores of features over samples; above them the group of each sample. */
export function heatmap(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  const key = figure.columns[0] ?? "";
  const samples = figure.columns.filter((name) => name !== key && name !== "gene");
  if (!samples.length || !figure.rows.length) return null;
  const of = samples.map((name) => figure.groups?.[name] ?? "");
  const levels = [...new Set(of)].filter(Boolean);
  const contrast = contrastOf(figure.params);
  const names = figure.rows.map((_, row) => t.text(row, "gene") || t.text(row, key));
  const cells = figure.rows.flatMap((_, row) => samples.map((name, column) => [column, row, t.number(row, name)] as const));
  const [low, high] = reach(cells.map((one) => one[2]));
  const most = Math.min(3, Math.max(1, Math.abs(low), Math.abs(high)));
  return (colours, width) => {
    const colour = (level: string) => (level === contrast?.a ? colours.up : level === contrast?.b ? colours.down : group(colours, levels.indexOf(level)));
    const left = Math.max(64, Math.min(110, Math.round(width * 0.2)));
    const top = levels.length ? 58 : 16;
    return {
      grid: [
        // A missing value has no cell: the grey ground shows, which is no value's colour.
        { left, right: 16, top, bottom: 58, show: true, backgroundColor: colours.line, borderWidth: 0 },
        { left, right: 16, top: 40, height: 10 },
      ],
      tooltip: tooltip(colours, ((event: { seriesIndex: number; value: [number, number, number | null]; data: { told?: string } }) =>
        event.data.told ??
        [
          clipped(names[event.value[1]] ?? ""),
          `${clipped(samples[event.value[0]] ?? "")}${of[event.value[0]] ? ` (${clipped(of[event.value[0]] ?? "", 24)})` : ""}`,
          event.value[2] === null || Number.isNaN(event.value[2]) ? "missing" : `z-score ${short(event.value[2])}`,
        ].join("\n")) as never),
      legend: {
        show: levels.length > 0,
        data: levels.map((level) => ({ name: level, itemStyle: { color: colour(level) } })),
        type: "scroll",
        selectedMode: false,
        top: 0,
        left: 0,
        icon: "circle",
        itemWidth: 9,
        itemHeight: 9,
        textStyle: { color: colours.ink, fontSize: 12 },
        formatter: (name: string) => clipped(name, 34),
      },
      xAxis: [
        axis(colours, `${samples.length} samples${cells.some((one) => one[2] === null) ? "; grey is missing" : ""}`, { type: "category", nameGap: 8, data: samples, axisLabel: { show: false }, splitLine: { show: false }, axisLine: { show: false } }),
        { gridIndex: 1, type: "category", data: samples, show: false },
      ],
      yAxis: [
        axis(colours, "", {
          type: "category",
          data: names,
          inverse: true,
          axisLabel: {
            color: colours.ink,
            fontSize: 10,
            width: left - 12,
            overflow: "truncate",
            ellipsis: "…",
            interval: figure.rows.length > NAMED_ROWS ? "auto" : 0,
          },
          splitLine: { show: false },
          axisLine: { show: false },
        }),
        { gridIndex: 1, type: "value", min: 0, max: 1, show: false },
      ],
      visualMap: {
        min: -most,
        max: most,
        seriesIndex: 0,
        calculable: false,
        orient: "horizontal",
        left: "center",
        bottom: 4,
        itemWidth: 10,
        itemHeight: 120,
        text: [`+${short(most)} z`, `−${short(most)}`],
        textStyle: { color: colours.muted, fontSize: 11 },
        inRange: { color: [colours.down, colours.surface, colours.up] },
      },
      series: [
        {
          type: "heatmap",
          data: cells.map(([column, row, value]) => ({ value: [column, row, value], key: t.text(row, key) })),
          progressive: 0,
          emphasis: { itemStyle: { borderColor: colours.ink, borderWidth: 1 } },
        },
        ...levels.map((level) => ({
          name: level,
          type: "scatter",
          symbol: "rect",
          symbolSize: [Math.max(1, (width - left - 16) / samples.length + 0.5), 10],
          xAxisIndex: 1,
          yAxisIndex: 1,
          itemStyle: { color: colour(level) },
          emphasis: { disabled: true },
          data: of.flatMap((one, column) => (one === level ? [{ value: [column, 0.5], told: `${clipped(samples[column] ?? "")}\n${clipped(level)}` }] : [])),
        })),
      ],
    };
  };
}

/** Medians of markers in groups of cells, from the lowest to the highest group of each marker. */
export function markers(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  const key = figure.columns[0] ?? "";
  const columns = figure.columns.filter((name) => ![key, "n_cells", "label"].includes(name));
  if (!columns.length || !figure.rows.length) return null;
  const all = figure.rows.reduce((sum, _, row) => sum + (t.number(row, "n_cells") ?? 0), 0);
  const names = figure.rows.map((_, row) => {
    const [own, label] = [t.text(row, key), t.text(row, "label")];
    return label && label !== own ? `${own} ${label}` : own;
  });
  const ranges = columns.map((name) => reach(figure.rows.map((_, row) => t.number(row, name))));
  return (colours, width) => {
    const left = Math.max(90, Math.min(180, Math.round(width * 0.28)));
    return {
      grid: { left, right: 16, top: 14, bottom: 116 },
      tooltip: tooltip(colours, ((event: { data: { value: number[]; median: number | null } }) => {
        const [column = 0, row = 0] = event.data.value;
        const share = all ? ` (${short((100 * (t.number(row, "n_cells") ?? 0)) / all)} % of cells)` : "";
        return `${clipped(names[row] ?? "")}${share}\n${clipped(columns[column] ?? "")}\nmedian ${event.data.median === null ? "missing" : short(event.data.median)}`;
      }) as never),
      xAxis: axis(colours, "", { type: "category", data: columns, axisLabel: { color: colours.ink, fontSize: 10, rotate: 50, interval: 0, width: 90, overflow: "truncate", formatter: (name: string) => words(name) }, splitLine: { show: false } }),
      yAxis: axis(colours, "", { type: "category", inverse: true, data: names, axisLabel: { color: colours.ink, fontSize: 11, interval: 0, width: left - 12, overflow: "truncate", ellipsis: "…" }, splitLine: { show: false } }),
      visualMap: {
        min: 0,
        max: 1,
        calculable: false,
        orient: "horizontal",
        left: "center",
        bottom: 4,
        itemWidth: 10,
        itemHeight: 110,
        text: ["highest group", "lowest"],
        textStyle: { color: colours.muted, fontSize: 11 },
        inRange: { color: [colours.surface, colours.accent] },
      },
      series: [
        {
          type: "heatmap",
          data: figure.rows.flatMap((_, row) =>
            columns.map((name, column) => {
              const value = t.number(row, name);
              const [low, high] = ranges[column] ?? [0, 1];
              return { value: [column, row, value === null ? null : high > low ? (value - low) / (high - low) : 0.5], median: value };
            }),
          ),
          itemStyle: { borderColor: colours.surface, borderWidth: 1 },
        },
      ],
    };
  };
}
