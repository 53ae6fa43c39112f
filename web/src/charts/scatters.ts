/** Figures of points: volcano, samples or cells on a plane, observed against predicted. */

import { short, words } from "../format";
import type { FigureData } from "../types";
import type { Builder } from "./chart";
import { Columns } from "./columns";
import { clipped, contrastOf, grid, reach, textOf, type Mark } from "./marks";
import { axis, group, legend, shape, tooltip, zoom } from "./palette";

/** Largest number of features that are named on a volcano. */
const LABELS = 14;

/** What the axis of effects holds: everything that passes, and all but the farthest of the rest, which stand at its ends. */
function window(t: Columns): [number, number] {
  const all: number[] = [];
  let [low, high] = [0, 0];
  for (let row = 0; row < t.length; row += 1) {
    const x = t.number(row, "effect");
    if (x === null) continue;
    all.push(x);
    const q = t.number(row, "q");
    if (t.has("group") ? t.text(row, "group") !== "not significant" : q !== null && q <= 0.05) [low, high] = [Math.min(low, x), Math.max(high, x)];
  }
  all.sort((a, b) => a - b);
  const cut = Math.floor(all.length * 0.005);
  low = Math.min(low, all[cut] ?? 0);
  high = Math.max(high, all[all.length - 1 - cut] ?? 0);
  const pad = 0.06 * (high - low) || 1;
  return [low - pad, high + pad];
}

export function volcano(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("effect") || !(t.has("p") || t.has("y"))) return null;
  const key = figure.columns[0] ?? "";
  const contrast = contrastOf(figure.params);
  const variable = textOf(figure.params.variable);
  const told = textOf(figure.params.axis);
  const name = told
    ? told.replaceAll("_", " ")
    : contrast
    ? `log₂ fold change, ${clipped(contrast.a, 24)} − ${clipped(contrast.b, 24)}`
    : variable
      ? `change of log₂ abundance with ${clipped(variable, 30)}`
      : "effect";
  const side = {
    up: contrast ? `higher in ${clipped(contrast.a, 22)}` : variable ? `rises with ${clipped(variable, 22)}` : "higher",
    down: contrast ? `higher in ${clipped(contrast.b, 22)}` : variable ? `falls with ${clipped(variable, 22)}` : "lower",
  };
  const rest = "not significant";
  const least = typeof figure.params.lfc_min === "number" ? figure.params.lfc_min : 0;
  const [low, high] = window(t);
  return (colours, width) => {
    const sets: Record<"up" | "down" | "rest", object[]> = { up: [], down: [], rest: [] };
    const passing: { value: number[]; key: string; name: string }[] = [];
    for (let row = 0; row < t.length; row += 1) {
      const x = t.number(row, "effect");
      const p = t.number(row, "p");
      const y = t.number(row, "y") ?? (p !== null && p > 0 ? -Math.log10(p) : null);
      if (x === null || y === null) continue;
      const q = t.number(row, "q");
      const hit = t.has("group") ? t.text(row, "group") !== rest : q !== null && q <= 0.05;
      const shown = Math.max(low, Math.min(high, x));
      const mark = {
        value: [shown, y],
        key: t.text(row, key),
        name: t.text(row, "gene") || t.text(row, key),
        q,
        effect: x,
        ...(shown === x ? {} : { symbol: "triangle", symbolRotate: x < low ? 90 : -90, symbolSize: 8 }),
      };
      if (hit) passing.push(mark);
      sets[hit ? (x > 0 ? "up" : "down") : "rest"].push(mark);
    }
    const named = passing.sort((a, b) => (b.value[1] ?? 0) - (a.value[1] ?? 0)).slice(0, LABELS);
    const of = (set: "up" | "down" | "rest", label: string, colour: string) => ({
      name: label,
      type: "scatter",
      data: sets[set],
      symbolSize: set === "rest" ? 4.5 : 7,
      itemStyle: { color: colour, opacity: set === "rest" ? 0.4 : 0.85 },
      emphasis: { scale: 1.6 },
      cursor: "pointer",
    });
    return {
      grid,
      legend: { ...legend(colours, []), type: width < 560 ? "scroll" : "plain", formatter: (name: string) => name, data: [`${side.up} (${sets.up.length})`, `${side.down} (${sets.down.length})`, rest] },
      tooltip: tooltip(colours, (({ data }: Mark & { data: { effect?: number } }) =>
        data.key === undefined
          ? ""
          : `${clipped(data.name ?? "")}${data.name === data.key ? "" : `  ${clipped(data.key)}`}\neffect ${short(data.effect ?? Number(data.value[0]))}${data.effect === data.value[0] ? "" : " (beyond the axis)"}\n−log₁₀ p ${short(Number(data.value[1]))}` +
            (data.q === null || data.q === undefined ? "" : `\nq ${short(data.q)}`)) as never),
      dataZoom: zoom,
      xAxis: axis(colours, name, { type: "value", min: low, max: high, axisLabel: { ...axis(colours, "").axisLabel, showMinLabel: false, showMaxLabel: false } }),
      yAxis: axis(colours, "−log₁₀ p", { type: "value", nameGap: 34, min: 0 }),
      series: [
        of("rest", rest, colours.neutral),
        of("up", `${side.up} (${sets.up.length})`, colours.up),
        of("down", `${side.down} (${sets.down.length})`, colours.down),
        {
          // Names are a series of their own: a label for each of thousands of points would be laid out for nothing.
          type: "scatter",
          data: named.map((one) => ({ ...one, symbolSize: 1 })),
          silent: true,
          itemStyle: { color: "transparent" },
          label: { show: true, position: "top", distance: 6, fontSize: 11, color: colours.ink, formatter: ({ data }: Mark) => clipped((data.name ?? "").split(";")[0] ?? "", 14) },
          labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
          ...(least > 0
            ? {
                markLine: {
                  silent: true,
                  symbol: "none",
                  label: { show: false },
                  lineStyle: { color: colours.muted, type: "dashed", width: 1 },
                  data: [{ xAxis: least }, { xAxis: -least }],
                },
              }
            : {}),
        },
      ],
    };
  };
}

interface Axes {
  x: string;
  y: string;
  /** Column that gives the colour. */
  by: string;
  /** Column that gives the shape. */
  shape?: string;
}

export function plane(figure: FigureData, { x, y, by, shape: shaped = "" }: Axes): Builder | null {
  const t = new Columns(figure);
  if (!t.has("x", "y")) return null;
  const key = figure.columns[0] ?? "";
  const values = figure.rows.map((_, row) => t.number(row, by));
  const numeric = t.has(by) && values.some((one) => one !== null);
  const levels = t.has(by) && !numeric ? t.levels(by).sort(natural) : [""];
  const shapes = t.has(shaped) ? t.levels(shaped).filter(Boolean) : [];
  const many = t.length > 2000;
  const size = many ? 3 : t.length > 400 ? 5 : 9;
  return (colours) => {
    const point = (row: number) => ({
      value: [t.number(row, "x"), t.number(row, "y"), values[row] ?? null],
      key: t.text(row, key),
      name: t.text(row, by),
      ...(shapes.length > 1 ? { symbol: shape(shapes.indexOf(t.text(row, shaped))), told: t.text(row, shaped) } : {}),
    });
    const rows = figure.rows.map((_, row) => row);
    return {
      grid: { ...grid, top: levels.length > 1 ? 48 : 22, right: numeric ? 64 : 18 },
      ...(levels.length > 1 ? { legend: { ...legend(colours, levels), type: "scroll", right: 8 } } : {}),
      tooltip: tooltip(colours, (({ data }: { data: { key?: string; name?: string; told?: string } }) =>
        [clipped(data.key ?? ""), data.name && `${by === "factor" ? "" : `${words(by)}: `}${clipped(data.name)}`, data.told && clipped(data.told)]
          .filter(Boolean)
          .join("\n")) as never),
      dataZoom: zoom,
      xAxis: axis(colours, x, { type: "value", scale: true, axisLine: { onZero: false, lineStyle: { color: colours.line } } }),
      yAxis: axis(colours, y, { type: "value", scale: true, nameGap: 36, axisLine: { onZero: false, lineStyle: { color: colours.line } } }),
      ...(numeric
        ? {
            visualMap: {
              min: reach(values)[0],
              max: reach(values)[1],
              dimension: 2,
              right: 0,
              top: "center",
              itemWidth: 10,
              itemHeight: 110,
              text: [short(reach(values)[1]), short(reach(values)[0])],
              textStyle: { color: colours.muted, fontSize: 11 },
              inRange: { color: [colours.down, colours.neutral, colours.up] },
            },
          }
        : {}),
      series: (numeric ? [null] : levels).map((level, place) => ({
        name: level ?? by,
        type: "scatter",
        data: rows.filter((row) => level === null || t.text(row, by) === level || (levels.length === 1 && level === "")).map(point),
        symbolSize: size,
        itemStyle: { ...(numeric ? {} : { color: group(colours, place) }), opacity: many ? 0.65 : 0.85 },
        emphasis: { focus: levels.length > 1 ? "series" : "none" },
        blur: { itemStyle: { opacity: 0.12 } },
      })),
    };
  };
}

/** C2 before C10. */
const order = new Intl.Collator("en", { numeric: true });
const natural = (a: string, b: string) => order.compare(a, b);

export function parity(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("observed", "predicted")) return null;
  const key = figure.columns[0] ?? "";
  const what = textOf(figure.params.name) || "value";
  const [low, high] = reach(figure.rows.flatMap((_, row) => [t.number(row, "observed"), t.number(row, "predicted")]));
  const pad = 0.04 * (high - low) || 1;
  const sets: [string, boolean][] = [
    ["used in the search", false],
    ["held out", true],
  ];
  return (colours) => ({
    grid,
    legend: legend(colours, sets.map(([name]) => name)),
    tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\npredicted ${short(Number(data.value[0]))}\nobserved ${short(Number(data.value[1]))}`) as never),
    xAxis: axis(colours, `predicted ${clipped(what)}`, { type: "value", min: low - pad, max: high + pad, axisLabel: { ...axis(colours, "").axisLabel, formatter: short } }),
    yAxis: axis(colours, `observed ${clipped(what)}`, { type: "value", min: low - pad, max: high + pad, nameGap: 40, axisLabel: { ...axis(colours, "").axisLabel, formatter: short } }),
    series: [
      ...sets.map(([name, held]) => ({
        name,
        type: "scatter",
        symbolSize: 6,
        itemStyle: { color: held ? colours.down : colours.neutral, opacity: 0.75 },
        data: figure.rows.flatMap((_, row) =>
          (t.at(row, "held_out") === true) === held
            ? [{ value: [t.number(row, "predicted"), t.number(row, "observed")], key: t.text(row, key) }]
            : [],
        ),
      })),
      {
        type: "line",
        silent: true,
        symbol: "none",
        lineStyle: { color: colours.muted, width: 1 },
        data: [
          [low - pad, low - pad],
          [high + pad, high + pad],
        ],
      },
    ],
  });
}
