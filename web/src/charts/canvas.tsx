import { BarChart, GraphChart, HeatmapChart, LineChart, ScatterChart } from "echarts/charts";
import {
  AriaComponent,
  DataZoomComponent,
  GraphicComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  TooltipComponent,
  VisualMapComponent,
} from "echarts/components";
import * as echarts from "echarts/core";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer } from "echarts/renderers";
import type { EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "react";
import { useDark } from "../theme";
import { palette, type Palette } from "./palette";

echarts.use([
  BarChart,
  GraphChart,
  HeatmapChart,
  LineChart,
  ScatterChart,
  AriaComponent,
  DataZoomComponent,
  GraphicComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  TooltipComponent,
  VisualMapComponent,
  CanvasRenderer,
  LabelLayout,
]);

export type Option = EChartsCoreOption;
/** Makes a chart of the colours of the page, for a width in pixels. */
export type Builder = (colours: Palette, width: number) => Option;

export interface ChartProps {
  /** What it shows, for those who do not see it. */
  label: string;
  build: Builder;
  height?: number;
  /** Called with the data of a mark that was clicked. */
  onPick?: (data: unknown) => void;
}

/**
 * A chart on a canvas. Tooltips are drawn on the canvas too (`richText`): text of files never becomes HTML.
 */
export default function Canvas({ label, build, height = 340, onPick }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const pick = useRef(onPick);
  pick.current = onPick;
  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const chart = echarts.init(element, undefined, { renderer: "canvas" });
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const colours = palette();
    chart.setOption({
      animation: !still,
      animationDuration: 250,
      textStyle: { fontFamily: colours.font, color: colours.ink },
      ...build(colours, element.clientWidth),
    });
    chart.on("click", (event) => pick.current?.(event.data));
    let width = element.clientWidth;
    const watch = new ResizeObserver(() => {
      chart.resize();
      if (Math.abs(element.clientWidth - width) < 40) return;
      width = element.clientWidth;
      chart.setOption(build(colours, width));
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.dispose();
    };
  }, [build, dark]);
  return <div className="chart" ref={holder} role="img" aria-label={label} style={{ height }} />;
}
