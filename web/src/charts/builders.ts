/** Interactive forms of the figures that tools make: each from the table that the figure was plotted from. */

import { short, words } from "../format";
import type { PlainTable } from "../types";
import type { Builder } from "./chart";
import { Columns } from "./columns";
import { axis, group, legend, tooltip, zoom, type Palette } from "./palette";

interface Mark {
  data: { value: (number | string | null)[]; key?: string; name?: string };
}

const grid = { left: 56, right: 18, top: 44, bottom: 46 };

/** Largest feature labels on a volcano. */
const LABELS = 12;

export function volcano(table: PlainTable, xName = "effect"): Builder | null {
  const t = new Columns(table);
  if (!t.has("effect") || !(t.has("p") || t.has("y"))) return null;
  const key = table.columns[0] ?? "";
  return (colours) => {
    const sets: Record<string, object[]> = { higher: [], lower: [], "not significant": [] };
    const passing: { row: number; y: number }[] = [];
    for (let row = 0; row < t.length; row += 1) {
      const x = t.number(row, "effect");
      const p = t.number(row, "p");
      const y = t.number(row, "y") ?? (p !== null && p > 0 ? -Math.log10(p) : null);
      if (x === null || y === null) continue;
      const q = t.number(row, "q");
      const hit = t.has("group") ? t.text(row, "group") !== "not significant" : q !== null && q <= 0.05;
      const set = hit ? (x > 0 ? "higher" : "lower") : "not significant";
      if (hit) passing.push({ row, y });
      sets[set]?.push({ value: [x, y], key: t.text(row, key), name: t.text(row, "gene") || t.text(row, key), q });
    }
    const named = new Set(
      passing
        .sort((a, b) => b.y - a.y)
        .slice(0, LABELS)
        .map(({ row }) => t.text(row, key)),
    );
    const look: Record<string, string> = { higher: colours.up, lower: colours.down, "not significant": colours.neutral };
    return {
      grid,
      legend: legend(colours, ["higher", "lower", "not significant"]),
      tooltip: tooltip(colours, (({ data }: Mark & { data: { q?: number | null } }) =>
        `${data.name ?? ""}  ${clipped(data.key ?? "")}\n${words(xName)} ${short(Number(data.value[0]))}\n−log₁₀ p ${short(Number(data.value[1]))}` +
        (data.q === null || data.q === undefined ? "" : `\nq ${short(data.q)}`)) as never),
      dataZoom: zoom,
      xAxis: axis(colours, words(xName), { type: "value" }),
      yAxis: axis(colours, "−log₁₀ p", { type: "value", nameGap: 34 }),
      series: Object.entries(sets).map(([name, data]) => ({
        name,
        type: "scatter",
        data,
        symbolSize: name === "not significant" ? 5 : 7,
        itemStyle: { color: look[name], opacity: name === "not significant" ? 0.45 : 0.85 },
        emphasis: { scale: 1.6 },
        label: {
          show: true,
          position: "top",
          fontSize: 11,
          color: colours.ink,
          formatter: ({ data: one }: Mark) => (one.key && named.has(one.key) ? clipped(one.name ?? "", 14) : ""),
        },
        labelLayout: { hideOverlap: true },
      })),
    };
  };
}

export function plane(table: PlainTable, by: string, xName: string, yName: string): Builder | null {
  const t = new Columns(table);
  if (!t.has("x", "y")) return null;
  const key = table.columns[0] ?? "";
  const numeric = t.has(by) && table.rows.some((_, row) => typeof t.at(row, by) === "number");
  const levels = t.has(by) && !numeric ? t.levels(by) : [""];
  return (colours) => {
    const points = (level: string | null) =>
      table.rows
        .map((_, row) => ({
          value: [t.number(row, "x"), t.number(row, "y"), numeric ? t.number(row, by) : null],
          key: t.text(row, key),
          name: t.text(row, by),
          level: t.text(row, by),
        }))
        .filter((one) => level === null || one.level === level);
    const many = table.rows.length > 2000;
    const values = numeric ? table.rows.map((_, row) => t.number(row, by) ?? 0) : [];
    return {
      grid,
      ...(levels.length > 1 ? { legend: { ...legend(colours, levels), type: levels.length > 6 ? "scroll" : "plain" } } : {}),
      tooltip: tooltip(colours, (({ data }: Mark) =>
        `${clipped(data.key ?? "")}${data.name ? `\n${clipped(data.name)}` : ""}`) as never),
      dataZoom: zoom,
      xAxis: axis(colours, xName, { type: "value", scale: true }),
      yAxis: axis(colours, yName, { type: "value", scale: true, nameGap: 34 }),
      ...(numeric
        ? {
            visualMap: {
              min: Math.min(...values),
              max: Math.max(...values),
              dimension: 2,
              right: 0,
              top: 36,
              itemWidth: 10,
              itemHeight: 90,
              textStyle: { color: colours.muted },
              inRange: { color: [colours.down, colours.neutral, colours.up] },
            },
          }
        : {}),
      series: (numeric ? [null] : levels).map((level, place) => ({
        name: level ?? by,
        type: "scatter",
        data: points(level),
        symbolSize: many ? 3 : 8,
        large: many,
        itemStyle: { ...(numeric ? {} : { color: group(colours, place) }), opacity: many ? 0.6 : 0.85 },
      })),
    };
  };
}

export function heatmap(table: PlainTable): Builder | null {
  const t = new Columns(table);
  const key = table.columns[0] ?? "";
  const samples = table.columns.filter((name) => name !== key && name !== "gene");
  if (!samples.length || !table.rows.length) return null;
  return (colours) => {
    const names = table.rows.map((_, row) => t.text(row, "gene") || clipped(t.text(row, key), 16));
    const cells = table.rows.flatMap((_, row) => samples.map((name, column) => [column, row, t.number(row, name)]));
    const most = Math.min(3, Math.max(1, ...cells.map((one) => Math.abs(one[2] ?? 0))));
    return {
      grid: { left: 92, right: 16, top: 16, bottom: 58 },
      tooltip: tooltip(colours, ((event: { value: [number, number, number | null] }) =>
        `${names[event.value[1]] ?? ""}\n${clipped(samples[event.value[0]] ?? "")}\n${event.value[2] === null ? "missing" : `z ${short(event.value[2])}`}`) as never),
      xAxis: axis(colours, "", { type: "category", data: samples, axisLabel: { show: false }, splitLine: { show: false } }),
      yAxis: axis(colours, "", {
        type: "category",
        data: names,
        inverse: true,
        axisLabel: { color: colours.ink, fontSize: 10, interval: table.rows.length > 45 ? "auto" : 0 },
        splitLine: { show: false },
      }),
      visualMap: {
        min: -most,
        max: most,
        calculable: false,
        orient: "horizontal",
        left: "center",
        bottom: 6,
        itemWidth: 10,
        itemHeight: 120,
        text: ["higher", "lower"],
        textStyle: { color: colours.muted },
        inRange: { color: [colours.down, colours.surface, colours.up] },
      },
      series: [{ type: "heatmap", data: cells, progressive: 4000, emphasis: { itemStyle: { borderColor: colours.ink, borderWidth: 1 } } }],
    };
  };
}

export function survival(table: PlainTable): Builder | null {
  const t = new Columns(table);
  if (!t.has("half", "time", "survival")) return null;
  const halves = t.levels("half");
  return (colours) => ({
    grid,
    legend: legend(colours, halves),
    tooltip: { ...tooltip(colours, ((events: { seriesName: string; value: number[] }[]) =>
      events.map((one) => `${one.seriesName}  ${short((one.value[1] ?? 0) * 100)} % at ${short(one.value[0] ?? 0)}`).join("\n")) as never), trigger: "axis" },
    xAxis: axis(colours, "time", { type: "value" }),
    yAxis: axis(colours, "surviving", { type: "value", min: 0, max: 1, nameGap: 34 }),
    series: halves.map((half, place) => ({
      name: half,
      type: "line",
      step: "end",
      symbol: "none",
      lineStyle: { width: 2.2, color: group(colours, place) },
      itemStyle: { color: group(colours, place) },
      data: table.rows
        .map((_, row) => [t.text(row, "half"), t.number(row, "time"), t.number(row, "survival")] as const)
        .filter(([level]) => level === half)
        .map(([, time, share]) => [time, share]),
    })),
  });
}

export function missingness(table: PlainTable): Builder | null {
  const t = new Columns(table);
  if (!t.has("missing_rate")) return null;
  const key = table.columns[0] ?? "";
  const order = table.rows.map((_, row) => row).sort((a, b) => (t.number(a, "missing_rate") ?? 0) - (t.number(b, "missing_rate") ?? 0));
  const levels = t.has("group") ? t.levels("group") : [""];
  return (colours) => ({
    grid: { ...grid, top: levels.length > 1 ? 44 : 18 },
    ...(levels.length > 1 ? { legend: legend(colours, levels) } : {}),
    tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\n${short(Number(data.value[1]) * 100)} % missing`) as never),
    xAxis: axis(colours, "samples, by what is missing", { type: "category", axisLabel: { show: false }, splitLine: { show: false }, data: order.map((row) => t.text(row, key)) }),
    yAxis: axis(colours, "missing", { type: "value", min: 0, nameGap: 38, axisLabel: { color: colours.muted, fontSize: 11, formatter: (value: number) => `${Math.round(value * 100)} %` } }),
    series: levels.map((level, place) => ({
      name: level,
      type: "bar",
      stack: "all",
      barCategoryGap: "8%",
      itemStyle: { color: levels.length > 1 ? group(colours, place) : colours.accent },
      data: order.map((row, at) => ({
        value: [at, !t.has("group") || t.text(row, "group") === level ? t.number(row, "missing_rate") : null],
        key: t.text(row, key),
      })),
    })),
  });
}

/** Horizontal bars, coloured by direction. */
export function bars(table: PlainTable, label: string, value: string): Builder | null {
  const t = new Columns(table);
  if (!t.has(label, value)) return null;
  return (colours) => ({
    grid: { left: 210, right: 24, top: 14, bottom: 44 },
    tooltip: tooltip(colours, (({ data }: Mark & { data: { q?: number | null } }) =>
      `${data.name ?? ""}\n${words(value)} ${short(Number(data.value))}${data.q === null || data.q === undefined ? "" : `\nq ${short(data.q)}`}`) as never),
    xAxis: axis(colours, words(value), { type: "value" }),
    yAxis: axis(colours, "", {
      type: "category",
      inverse: true,
      data: table.rows.map((_, row) => clipped(t.text(row, label), 32)),
      axisLabel: { color: colours.ink, fontSize: 12 },
      splitLine: { show: false },
    }),
    series: [
      {
        type: "bar",
        barMaxWidth: 18,
        data: table.rows.map((_, row) => ({
          value: t.number(row, value),
          name: t.text(row, label),
          q: t.number(row, "q"),
          itemStyle: { color: (t.number(row, value) ?? 0) >= 0 ? colours.up : colours.down, borderRadius: 2 },
        })),
      },
    ],
  });
}

export function curves(table: PlainTable): Builder | null {
  const t = new Columns(table);
  if (!t.has("curve", "x", "y")) return null;
  const names = t.levels("curve").filter((name) => name !== "calibration");
  return (colours) => ({
    grid,
    legend: legend(colours, names),
    tooltip: tooltip(colours, (({ data }: { data: number[] }) => `${short(data[0] ?? 0)}, ${short(data[1] ?? 0)}`) as never),
    xAxis: axis(colours, "false positive rate", { type: "value", min: 0, max: 1 }),
    yAxis: axis(colours, "true positive rate", { type: "value", min: 0, max: 1, nameGap: 34 }),
    series: names.map((name, place) => ({
      name,
      type: "line",
      symbol: "none",
      lineStyle: { width: 2.2, color: group(colours, place) },
      itemStyle: { color: group(colours, place) },
      data: table.rows.flatMap((_, row) => (t.text(row, "curve") === name ? [[t.number(row, "x"), t.number(row, "y")]] : [])),
    })),
  });
}

/** Values of one feature by group: every sample a point, the median a bar. */
export function strips(table: PlainTable): Builder | null {
  const t = new Columns(table);
  if (!t.has("group", "value")) return null;
  const key = table.columns[0] ?? "";
  const continuous = t.has("x") && table.rows.some((_, row) => t.number(row, "x") !== null) && t.levels("group").length <= 1;
  const levels = t.levels("group");
  const told = levels.map((level) => {
    const rows = table.rows.flatMap((_, row) => (t.text(row, "group") === level ? [row] : []));
    return `${rows.filter((row) => t.number(row, "value") !== null).length} of ${rows.length} measured`;
  });
  return (colours) => {
    const points = table.rows.map((_, row) => {
      const place = levels.indexOf(t.text(row, "group"));
      const spread = ((((row * 2654435761) % 1000) + 1000) % 1000) / 1000 - 0.5;
      return {
        value: [continuous ? t.number(row, "x") : place + 0.36 * spread, t.number(row, "value")],
        key: t.text(row, key),
        name: t.text(row, "group"),
        itemStyle: { color: continuous ? colours.accent : group(colours, place) },
      };
    });
    const medians = continuous
      ? []
      : levels.map((level, place) => {
          const held = table.rows
            .flatMap((_, row) => (t.text(row, "group") === level ? [t.number(row, "value")] : []))
            .filter((one): one is number => one !== null)
            .sort((a, b) => a - b);
          return [place, held[Math.floor(held.length / 2)] ?? null];
        });
    return {
      grid: { ...grid, top: 18 },
      tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\n${clipped(data.name ?? "")}\n${short(Number(data.value[1]))}`) as never),
      xAxis: axis(colours, "", {
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
                formatter: (value: number) => `${clipped(levels[value] ?? "", 26)}\n${told[value] ?? ""}`,
                lineHeight: 16,
              },
              splitLine: { show: false },
            }),
      }),
      yAxis: axis(colours, "log₂ abundance", { type: "value", scale: true, nameGap: 34, axisLine: { onZero: false, lineStyle: { color: colours.line } } }),
      series: [
        { type: "scatter", data: points, symbolSize: 7, itemStyle: { opacity: 0.7 } },
        {
          type: "scatter",
          data: medians,
          symbol: "rect",
          symbolSize: [54, 3],
          silent: true,
          itemStyle: { color: colours.ink },
        },
      ],
    };
  };
}

const clipped = (text: string, most = 40) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Interactive form of the figure of a tool; null where there is none, and the drawn figure is shown. */
export function builderOf(tool: string, data: PlainTable): Builder | null {
  switch (tool) {
    case "plot_volcano":
      return volcano(data);
    case "plot_pca":
      return plane(data, "factor", "PC 1", "PC 2");
    case "plot_embedding":
      return plane(data, data.columns.find((name) => !["cell", "x", "y"].includes(name)) ?? "", "1", "2");
    case "plot_heatmap":
      return heatmap(data);
    case "plot_survival":
      return survival(data);
    case "plot_missingness":
      return missingness(data);
    case "plot_set_bars":
      return bars(data, "name", "effect");
    case "plot_activities":
      return bars(data, "feature", "effect");
    case "plot_roc":
      return curves(data);
    case "plot_feature":
      return strips(data);
    default:
      return null;
  }
}

export type { Palette };
