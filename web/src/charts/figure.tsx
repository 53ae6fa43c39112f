import { useEffect, useMemo, useRef, useState } from "react";
import { api, artifactPath } from "../api";
import { useLoaded } from "../hooks";
import { Icon } from "../parts/icons";
import { Loading } from "../parts/states";
import type { PlainTable } from "../types";
import { builderOf } from "./builders";
import { Chart } from "./chart";

interface Props {
  run: string;
  step: string;
  tool: string;
  name: string;
  title: string;
  height?: number;
  onPick?: (key: string) => void;
  onStep?: (step: string) => void;
}

/** Figures whose interactive form says as much as the drawn one. */
const INTERACTIVE = new Set([
  "plot_volcano", "plot_pca", "plot_embedding", "plot_heatmap", "plot_survival", "plot_missingness", "plot_set_bars",
  "plot_activities", "plot_roc", "plot_feature",
]);

/** Whether an element is or was near what is seen: what nobody scrolls to is not loaded. */
function useNear(holder: { current: HTMLElement | null }): boolean {
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (!holder.current || near) return;
    const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && setNear(true), {
      rootMargin: "400px",
    });
    watch.observe(holder.current);
    return () => watch.disconnect();
  }, [holder, near]);
  return near;
}

/** A figure of a step: interactive where there is such a form, and as it was drawn for the report. */
export function Figure({ run, step, tool, name, title, height, onPick, onStep }: Props) {
  const [asked, setDrawn] = useState<boolean | null>(null);
  const holder = useRef<HTMLElement>(null);
  const near = useNear(holder);
  const drawn = asked ?? !INTERACTIVE.has(tool);
  const picture = api(artifactPath(run, step, name));
  const data = useLoaded<PlainTable>(drawn || !near ? null : `${artifactPath(run, step, `${name}_data`)}?form=json`);
  const build = useMemo(() => (data.value ? builderOf(tool, data.value) : null), [data.value, tool]);
  const picked = onPick
    ? (one: unknown) => {
        const key = (one as { key?: string } | null)?.key;
        if (key) onPick(key);
      }
    : undefined;
  const failed = data.problem !== null || (data.value !== null && build === null);
  const rows = data.value?.rows.length ?? 0;
  const tall = tool === "plot_heatmap" ? Math.min(720, 120 + 15 * rows) : tool === "plot_set_bars" ? 90 + 28 * rows : (height ?? 340);
  return (
    <figure className="figure" ref={holder}>
      <figcaption>
        <span className="figure-title">{title}</span>
        <span className="figure-tools">
          {INTERACTIVE.has(tool) && (
            <button type="button" className="quiet small" aria-pressed={drawn} onClick={() => setDrawn(!drawn)}>
              {drawn ? "Interactive" : "As in the report"}
            </button>
          )}
          <a className="quiet small" href={picture} download={`${step}-${name}.svg`} aria-label={`Download ${title} as SVG`}>
            <Icon name="download" size={15} /> SVG
          </a>
          {onStep && (
            <button type="button" className="quiet small" onClick={() => onStep(step)}>
              {step}
            </button>
          )}
        </span>
      </figcaption>
      {drawn || failed ? (
        <div className="drawn">
          <img src={picture} alt={title} loading="lazy" />
        </div>
      ) : build ? (
        <Chart label={`${title}, interactive`} build={build} height={tall} {...(picked ? { onPick: picked } : {})} />
      ) : (
        <div style={{ minHeight: tall }}>
          <Loading what="Figure" />
        </div>
      )}
    </figure>
  );
}
