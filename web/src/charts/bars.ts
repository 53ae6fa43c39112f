/** Figures by group: bars, and values of single samples. */

import { short, words } from "../format";
import type { FigureData, PlainTable } from "../types";
import type { Builder } from "./chart";
import { Columns } from "./columns";
import { clipped, contrastOf, grid, reach, spread, textOf, type Mark } from "./marks";
import { axis, group, legend, tooltip } from "./palette";

export function missingness(table: Pick<PlainTable, "columns" | "rows">): Builder | null {
  const t = new Columns(table);
  if (!t.has("missing_rate")) return null;
  const key = table.columns[0] ?? "";
  const order = table.rows.map((_, row) => row).sort((a, b) => (t.number(a, "missing_rate") ?? 0) - (t.number(b, "missing_rate") ?? 0));
  const levels = t.has("group") ? t.levels("group") : [""];
  return (colours) => ({
    grid: { ...grid, left: 62, top: levels.length > 1 ? 44 : 18, bottom: 34 },
    ...(levels.length > 1 ? { legend: { ...legend(colours, levels), type: "scroll" } } : {}),
    tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\n${short(Number(data.value[1]) * 100)} % missing`) as never),
    xAxis: axis(colours, "samples, those with most last", { type: "category", nameGap: 12, axisLabel: { show: false }, splitLine: { show: false }, data: order.map((row) => t.text(row, key)) }),
    yAxis: axis(colours, "missing values", { type: "value", min: 0, nameGap: 44, axisLabel: { color: colours.muted, fontSize: 11, formatter: (value: number) => `${short(Math.round(value * 1000) / 10)} %` } }),
    series: levels.map((level, place) => ({
      name: level,
      type: "bar",
      stack: "all",
      barCategoryGap: order.length > 150 ? "0%" : "8%",
      itemStyle: { color: levels.length > 1 ? group(colours, place) : colours.accent },
      data: order.map((row, at) => ({
        value: [at, !t.has("group") || t.text(row, "group") === level ? t.number(row, "missing_rate") : null],
        key: t.text(row, key),
      })),
    })),
  });
}

/** Horizontal bars, coloured by direction; names take a third of the width at most. */
export function bars(figure: FigureData, label: string, value: string, name: string): Builder | null {
  const t = new Columns(figure);
  if (!t.has(label, value)) return null;
  const level = typeof figure.params.level === "number" ? figure.params.level : 0.05;
  return (colours, width) => {
    const room = Math.max(90, Math.min(230, Math.round(width * 0.36)));
    return {
      grid: { left: room + 14, right: 24, top: 14, bottom: 44 },
      tooltip: tooltip(colours, (({ data }: Mark & { data: { value: unknown } }) =>
        `${clipped(data.name ?? "", 60)}\n${name} ${short(Number(data.value))}${data.q === null || data.q === undefined ? "" : `\nq ${short(data.q)}`}`) as never),
      xAxis: axis(colours, name, { type: "value" }),
      yAxis: axis(colours, "", {
        type: "category",
        inverse: true,
        data: figure.rows.map((_, row) => t.text(row, label)),
        axisLabel: { color: colours.ink, fontSize: 12, width: room, overflow: "truncate", ellipsis: "…", interval: 0 },
        axisLine: { show: false },
        splitLine: { show: false },
      }),
      series: [
        {
          type: "bar",
          barMaxWidth: 18,
          data: figure.rows.map((_, row) => {
            const q = t.number(row, "q");
            return {
              value: t.number(row, value),
              name: t.text(row, label),
              key: t.text(row, figure.columns[0] ?? ""),
              q,
              itemStyle: { color: (t.number(row, value) ?? 0) >= 0 ? colours.up : colours.down, opacity: q !== null && q > level ? 0.35 : 1, borderRadius: 2 },
            };
          }),
        },
      ],
    };
  };
}

const median = (values: (number | null)[]): number | null => {
  const held = values.filter((one): one is number => one !== null).sort((a, b) => a - b);
  const middle = Math.floor(held.length / 2);
  if (!held.length) return null;
  return held.length % 2 ? (held[middle] ?? null) : ((held[middle - 1] ?? 0) + (held[middle] ?? 0)) / 2;
};

/** What is measured: cells are told by the data set that the figure was drawn from. */
function quantity({ inputs }: FigureData): string {
  const source = inputs.dataset ?? "";
  if (source.endsWith("/states")) return "median of the cells, transformed";
  if (source.endsWith("/shares")) return "log₂ odds of the share of cells";
  return "log₂ abundance";
}

/** Values of one feature by group, every sample a point and the median a bar; or against a number of the sample sheet. */
export function strips(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("group", "value")) return null;
  const key = figure.columns[0] ?? "";
  const continuous = t.has("x") && figure.rows.some((_, row) => t.number(row, "x") !== null) && t.levels("group").length <= 1;
  const levels = t.levels("group");
  const contrast = contrastOf(figure.params);
  const variable = textOf(figure.params.variable);
  const told = levels.map((level) => {
    const rows = figure.rows.flatMap((_, row) => (t.text(row, "group") === level ? [row] : []));
    return `${rows.filter((row) => t.number(row, "value") !== null).length} of ${rows.length}`;
  });
  /** The two sides of a comparison have the colours that they have everywhere. */
  const side = (level: string) => (contrast === null ? null : level === contrast.a ? "up" : level === contrast.b ? "down" : null);
  return (colours, width) => {
    const colour = (level: string, place: number) => (side(level) === "up" ? colours.up : side(level) === "down" ? colours.down : group(colours, place));
    const points = figure.rows.map((_, row) => {
      const place = levels.indexOf(t.text(row, "group"));
      return {
        value: [continuous ? t.number(row, "x") : place + 0.36 * spread(row), t.number(row, "value")],
        key: t.text(row, key),
        name: t.text(row, "group"),
        itemStyle: { color: continuous ? colours.accent : colour(t.text(row, "group"), place) },
      };
    });
    const letters = Math.max(6, Math.floor((width - 80) / Math.max(1, levels.length) / 7));
    return {
      grid: { ...grid, top: 18, bottom: continuous ? 48 : 54 },
      tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\n${clipped(data.name ?? "")}\n${short(Number(data.value[1]))}`.replace("\n\n", "\n")) as never),
      xAxis: axis(colours, continuous ? clipped(words(variable)) : "", {
        type: "value",
        ...(continuous
          ? { scale: true }
          : {
              min: -0.6,
              max: levels.length - 0.4,
              axisLabel: {
                color: colours.ink,
                fontSize: 12,
                customValues: levels.map((_, place) => place),
                formatter: (value: number) => `${clipped(levels[value] ?? "", letters)}\n{n|${told[value] ?? ""}}`,
                lineHeight: 16,
                rich: { n: { color: colours.muted, fontSize: 11, lineHeight: 15 } },
              },
              splitLine: { show: false },
            }),
      }),
      yAxis: axis(colours, quantity(figure), { type: "value", scale: true, nameGap: 38, axisLine: { onZero: false, lineStyle: { color: colours.line } } }),
      series: [
        { type: "scatter", data: points, symbolSize: 7, itemStyle: { opacity: 0.7 } },
        ...(continuous
          ? []
          : [
              {
                type: "scatter",
                data: levels.map((level, place) => [place, median(figure.rows.map((_, row) => (t.text(row, "group") === level ? t.number(row, "value") : null)))]),
                symbol: "rect",
                symbolSize: [54, 3],
                silent: true,
                itemStyle: { color: colours.ink },
              },
            ]),
      ],
    };
  };
}

/** Shares of populations of cells in every sample, two groups beside each other. */
export function populations(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("population", "group", "share")) return null;
  const names = t.levels("population");
  const groups = t.levels("group");
  const place = (row: number) => {
    const at = groups.indexOf(t.text(row, "group"));
    return names.indexOf(t.text(row, "population")) + (groups.length > 1 ? (at / (groups.length - 1) - 0.5) * 0.44 : 0);
  };
  const [, most] = reach(figure.rows.map((_, row) => t.number(row, "share")));
  return (colours, width) => {
    const letters = Math.max(5, Math.floor((width - 80) / Math.max(1, names.length) / 6));
    const turned = letters < 12;
    return {
      grid: { ...grid, bottom: turned ? 110 : 48 },
      legend: legend(colours, groups),
      tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\n${clipped(data.name ?? "")}\n${short(100 * Number(data.value[1]))} % of cells`) as never),
      xAxis: axis(colours, "", {
        type: "value",
        min: -0.6,
        max: names.length - 0.4,
        axisLabel: {
          color: colours.ink,
          fontSize: 11,
          rotate: turned ? 40 : 0,
          customValues: names.map((_, at) => at),
          formatter: (value: number) => clipped(names[value] ?? "", turned ? 20 : letters),
        },
        splitLine: { show: false },
      }),
      yAxis: axis(colours, "share of cells", { type: "value", min: 0, nameGap: 42, axisLabel: { color: colours.muted, fontSize: 11, formatter: (value: number) => `${short(Math.round((most < 0.05 ? 10 : 1) * value * 100) / (most < 0.05 ? 10 : 1))} %` } }),
      series: groups.map((level, at) => ({
        name: level,
        type: "scatter",
        symbolSize: 7,
        itemStyle: { color: group(colours, at), opacity: 0.75 },
        data: figure.rows.flatMap((_, row) =>
          t.text(row, "group") === level
            ? [{ value: [place(row) + 0.1 * spread(row), t.number(row, "share")], key: t.text(row, "unit"), name: `${t.text(row, "population")}, ${level}` }]
            : [],
        ),
      })),
    };
  };
}
