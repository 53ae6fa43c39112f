import { colour } from "../theme";

/** Colours of the style sheet, so that charts are light or dark as the page is. */
export interface Palette {
  ink: string;
  muted: string;
  line: string;
  surface: string;
  accent: string;
  up: string;
  down: string;
  neutral: string;
  font: string;
  /** Groups; they can be told apart by people who do not see red and green. */
  groups: string[];
}

export const palette = (): Palette => ({
  ink: colour("ink"),
  muted: colour("muted"),
  line: colour("line"),
  surface: colour("surface"),
  accent: colour("accent"),
  up: colour("up"),
  down: colour("down"),
  neutral: colour("neutral"),
  font: colour("font") || "system-ui, sans-serif",
  groups: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`group-${number}`)),
});

export const group = (colours: Palette, place: number) => colours.groups[place % colours.groups.length] ?? colours.neutral;

const SHAPES = ["circle", "triangle", "rect", "diamond", "pin"];

export const shape = (place: number) => SHAPES[Math.max(0, place) % SHAPES.length] ?? "circle";

/** Axes, tooltip and tools that all charts share. */
export const axis = (colours: Palette, name: string, more: object = {}) => ({
  name,
  nameLocation: "middle" as const,
  nameGap: 28,
  nameTextStyle: { color: colours.muted, fontSize: 12 },
  axisLine: { lineStyle: { color: colours.line } },
  axisTick: { show: false },
  axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
  splitLine: { lineStyle: { color: colours.line, opacity: 0.6 } },
  ...more,
});

export const tooltip = (colours: Palette, formatter: (event: never) => string, more: object = {}) => ({
  renderMode: "richText" as const,
  backgroundColor: colours.surface,
  borderColor: colours.line,
  borderWidth: 1,
  padding: [8, 10],
  textStyle: { color: colours.ink, fontSize: 12, lineHeight: 18 },
  confine: true,
  formatter,
  ...more,
});

export const legend = (colours: Palette, data: string[]) => ({
  data,
  type: "plain" as const,
  top: 0,
  left: 0,
  icon: "circle",
  itemWidth: 9,
  itemHeight: 9,
  itemGap: 14,
  textStyle: { color: colours.ink, fontSize: 12 },
  formatter: (name: string) => (name.length > 34 ? `${name.slice(0, 33)}…` : name),
});

export const zoom = [{ type: "inside", filterMode: "none", xAxisIndex: 0, zoomOnMouseWheel: "shift", moveOnMouseMove: false }];
