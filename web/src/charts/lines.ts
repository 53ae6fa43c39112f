/** Figures of curves: survival, receiver operating characteristic, dose and response, losses of a training. */

import { short, words } from "../format";
import type { FigureData } from "../types";
import type { Builder } from "./chart";
import { Columns } from "./columns";
import { clipped, grid, reach, textOf, type Mark } from "./marks";
import { axis, group, legend, tooltip } from "./palette";

const HALVES: Record<string, string> = { high: "above the median", low: "at or below the median" };
const MOMENTS = 6;

/** Kaplan-Meier curves with ticks where somebody was censored, and below the axis how many are still at risk. */
export function survival(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("half", "time", "survival")) return null;
  const halves = t.levels("half");
  const rows = (half: string) => figure.rows.flatMap((_, row) => (t.text(row, "half") === half ? [row] : []));
  const told = (half: string) => {
    const median = figure.values[`median_${half}`];
    const n = figure.values[`n_${half}`];
    const events = figure.values[`events_${half}`];
    const parts = [n !== undefined && n !== null ? `n ${n}` : "", typeof events === "number" ? `${events} events` : "", typeof median === "number" ? `median ${short(median)}` : ""];
    return `${HALVES[half] ?? half}${parts.some(Boolean) ? ` (${parts.filter(Boolean).join(", ")})` : ""}`;
  };
  const [, end] = reach(figure.rows.map((_, row) => t.number(row, "time")));
  /** At risk at a moment: of the last step before it, those who left at that step not counted any more. */
  const atRisk = (half: string, moment: number) => {
    let found = "";
    for (const row of rows(half)) {
      const time = t.number(row, "time") ?? 0;
      if (time >= moment) return String(t.number(row, "at_risk") ?? "");
      found = String((t.number(row, "at_risk") ?? 0) - (t.number(row, "events") ?? 0) - (t.number(row, "censored") ?? 0));
    }
    return found;
  };
  const value = (name: string) => (typeof figure.values[name] === "number" ? Number(figure.values[name]) : null);
  const [ratio, low, high, p] = [value("hazard_ratio"), value("hr_low"), value("hr_high"), value("logrank_p")];
  const notes = [
    p === null ? "" : `log-rank p ${short(p)}`,
    ratio === null || low === null || high === null ? "" : `hazard ratio per SD ${short(ratio)} (${short(low)} to ${short(high)})`,
  ].filter(Boolean);
  return (colours) => {
    const colour = (half: string, place: number) => (half === "high" ? colours.up : half === "low" ? colours.down : group(colours, place));
    return {
      grid: { left: 74, right: 18, top: notes.length ? 66 : 44, bottom: 66 + 16 * halves.length },
      title: { text: notes.join("  ·  "), right: 8, top: 24, textStyle: { color: colours.muted, fontSize: 12, fontWeight: "normal" } },
      legend: { ...legend(colours, halves.map(told)), formatter: (name: string) => clipped(name, 72) },
      tooltip: {
        ...tooltip(colours, ((events: { seriesName: string; value: number[]; seriesType: string }[]) =>
          [...new Map(events.filter((one) => one.seriesType === "line").map((one) => [one.seriesName, one])).values()]
            .map((one) => `${clipped(one.seriesName, 60)}\n${short((one.value[1] ?? 0) * 100)} % at ${short(one.value[0] ?? 0)}`)
            .join("\n")) as never),
        trigger: "axis",
        axisPointer: { type: "line", lineStyle: { color: colours.muted, type: "dashed" }, label: { show: false } },
      },
      xAxis: axis(colours, clipped(words(textOf(figure.params.time)) || "time", 60), {
        type: "value",
        min: 0,
        max: end,
        splitNumber: MOMENTS,
        nameGap: 30 + 16 * halves.length,
        axisLabel: {
          color: colours.muted,
          fontSize: 11,
          lineHeight: 16,
          showMaxLabel: false,
          formatter: (moment: number) => [short(moment), ...halves.map((half, place) => `{h${place}|${atRisk(half, moment)}}`)].join("\n"),
          rich: Object.fromEntries(halves.map((half, place) => [`h${place}`, { color: colour(half, place), fontSize: 11, lineHeight: 16 }])),
        },
      }),
      yAxis: axis(colours, "share without the event", { type: "value", min: 0, max: 1, nameGap: 42, axisLabel: { color: colours.muted, fontSize: 11, formatter: (share: number) => `${Math.round(share * 100)} %` } }),
      graphic: [
        {
          type: "text",
          left: 6,
          bottom: 28 + 14 * halves.length,
          silent: true,
          style: { text: "at risk", fill: colours.muted, fontSize: 11, fontFamily: colours.font },
        },
      ],
      series: halves.flatMap((half, place) => [
        {
          name: told(half),
          type: "line",
          step: "end",
          symbol: "none",
          lineStyle: { width: 2.2, color: colour(half, place) },
          itemStyle: { color: colour(half, place) },
          data: rows(half).map((row) => [t.number(row, "time"), t.number(row, "survival")]),
        },
        {
          name: told(half),
          type: "scatter",
          symbol: "rect",
          symbolSize: [1.6, 9],
          silent: true,
          itemStyle: { color: colour(half, place) },
          data: rows(half)
            .filter((row) => (t.number(row, "censored") ?? 0) > 0)
            .map((row) => [t.number(row, "time"), t.number(row, "survival")]),
        },
      ]),
    };
  };
}

export function curves(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("curve", "x", "y")) return null;
  const names = t.levels("curve").filter((name) => name !== "calibration");
  return (colours) => ({
    grid: { ...grid, top: 18 },
    legend: { ...legend(colours, names.map(words)), orient: "vertical", top: "auto", left: "auto", right: 26, bottom: 62 },
    tooltip: tooltip(colours, (({ seriesName, data }: { seriesName: string; data: number[] }) =>
      `${clipped(seriesName)}\nfalse positive ${short(100 * (data[0] ?? 0))} %\ntrue positive ${short(100 * (data[1] ?? 0))} %`) as never),
    xAxis: axis(colours, "false positive rate", { type: "value", min: 0, max: 1 }),
    yAxis: axis(colours, "true positive rate", { type: "value", min: 0, max: 1, nameGap: 34 }),
    series: [
      ...names.map((name, place) => ({
        name: words(name),
        type: "line",
        showSymbol: false,
        symbolSize: 6,
        lineStyle: { width: 2.2, color: group(colours, place) },
        itemStyle: { color: group(colours, place) },
        data: figure.rows.flatMap((_, row) => (t.text(row, "curve") === name ? [[t.number(row, "x"), t.number(row, "y")]] : [])),
      })),
      {
        type: "line",
        silent: true,
        symbol: "none",
        lineStyle: { color: colours.muted, width: 1, type: "dashed" },
        data: [
          [0, 0],
          [1, 1],
        ],
      },
    ],
  });
}

export function losses(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("curve", "epoch", "loss")) return null;
  const names = t.levels("curve");
  return (colours) => ({
    grid,
    legend: legend(colours, names.map(words)),
    tooltip: { ...tooltip(colours, ((events: { seriesName: string; value: number[] }[]) =>
      `epoch ${short(events[0]?.value[0] ?? 0)}\n${events.map((one) => `${clipped(one.seriesName)} ${short(one.value[1] ?? 0)}`).join("\n")}`) as never), trigger: "axis" },
    xAxis: axis(colours, "epoch", { type: "value", minInterval: 1, min: "dataMin", max: "dataMax" }),
    yAxis: axis(colours, "loss", { type: "value", scale: true, nameGap: 40 }),
    series: names.map((name, place) => ({
      name: words(name),
      type: "line",
      symbolSize: 5,
      lineStyle: { width: 2, color: group(colours, place) },
      itemStyle: { color: group(colours, place) },
      data: figure.rows.flatMap((_, row) => (t.text(row, "curve") === name ? [[t.number(row, "epoch"), t.number(row, "loss")]] : [])),
    })),
  });
}

/** Samples by dose, with the fitted curve; samples without dose stand a decade below the lowest. */
export function dose(figure: FigureData): Builder | null {
  const t = new Columns(figure);
  if (!t.has("dose", "value", "fitted")) return null;
  const key = figure.columns[0] ?? "";
  const doses = figure.rows.map((_, row) => t.number(row, "dose"));
  const least = reach(doses.map((one) => (one !== null && one > 0 ? one : null)))[0];
  const none = least / 10;
  const at = (row: number) => ((doses[row] ?? 0) > 0 ? Number(doses[row]) : none);
  const half = typeof figure.values.ec50 === "number" ? figure.values.ec50 : null;
  return (colours) => ({
    grid: { ...grid, top: 24 },
    tooltip: tooltip(colours, (({ data }: Mark) => `${clipped(data.key ?? "")}\ndose ${Number(data.value[0]) === none ? "none" : short(Number(data.value[0]))}\n${short(Number(data.value[1]))}`) as never),
    xAxis: axis(colours, clipped(words(textOf(figure.params.dose)) || "dose", 60), {
      type: "log",
      min: none,
      axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true, formatter: (one: number) => (Math.abs(one - none) < 1e-9 * least ? "none" : short(one)) },
    }),
    yAxis: axis(colours, "log₂ abundance", { type: "value", scale: true, nameGap: 40 }),
    series: [
      {
        type: "line",
        symbol: "none",
        smooth: 0.3,
        silent: true,
        lineStyle: { color: colours.accent, width: 2 },
        data: [...new Map(figure.rows.map((_, row) => [at(row), t.number(row, "fitted")]))].sort(([a], [b]) => a - b),
        ...(half === null
          ? {}
          : {
              markLine: {
                silent: true,
                symbol: "none",
                lineStyle: { color: colours.muted, type: "dashed", width: 1 },
                label: { formatter: `half effect at ${short(half)}`, color: colours.muted, fontSize: 11 },
                data: [{ xAxis: half }],
              },
            }),
      },
      {
        type: "scatter",
        symbolSize: 7,
        itemStyle: { color: colours.ink, opacity: 0.6 },
        data: figure.rows.map((_, row) => ({ value: [at(row), t.number(row, "value")], key: t.text(row, key) })),
      },
    ],
  });
}
