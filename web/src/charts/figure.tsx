import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { api, artifactPath, ended, figurePath, send } from "../api";
import { readable } from "../format";
import { problemFrom, useLoaded } from "../hooks";
import { Icon } from "../parts/icons";
import { Failure, Loading } from "../parts/states";
import type { FigureData, Job, Json, PlainTable, Problem } from "../types";
import { builderOf, interactive, tallness } from "./builders";
import { Chart } from "./chart";

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

interface FrameProps {
  title: string;
  tool: string;
  /** Address of the figure as it was drawn. */
  picture: string;
  file: string;
  data: FigureData | null;
  failed: boolean;
  drawn: boolean;
  onDrawn: (drawn: boolean) => void;
  height?: number;
  onPick?: (key: string, figure: FigureData) => void;
  children?: ReactNode;
}

/** A figure with what can be done with it. */
function Frame({ title: given, tool, picture, file, data, failed, drawn, onDrawn, height = 340, onPick, children }: FrameProps) {
  const title = readable(given);
  const build = useMemo(() => (data ? builderOf(data) : null), [data]);
  const picked =
    onPick && data
      ? (one: unknown) => {
          const key = (one as { key?: string } | null)?.key;
          if (key) onPick(key, data);
        }
      : undefined;
  const still = drawn || failed || (data !== null && build === null);
  const tall = data ? tallness(data, height) : height;
  return (
    <>
      <figcaption>
        <span className="figure-title">{title}</span>
        <span className="figure-tools">
          {interactive(tool) && (
            <button type="button" className="quiet small" aria-pressed={drawn} onClick={() => onDrawn(!drawn)}>
              As in the report
            </button>
          )}
          <a className="quiet small" href={picture} download={file} aria-label={`Download ${title} as SVG`}>
            <Icon name="download" size={15} /> SVG
          </a>
          {children}
        </span>
      </figcaption>
      {still ? (
        <div className="drawn">
          <img src={picture} alt={title} loading="lazy" />
        </div>
      ) : build ? (
        <Chart label={title} build={build} height={tall} {...(picked ? { onPick: picked } : {})} />
      ) : (
        <div style={{ minHeight: tall }}>
          <Loading what="Figure" />
        </div>
      )}
    </>
  );
}

interface Props {
  run: string;
  step: string;
  tool: string;
  name: string;
  title: string;
  height?: number;
  onPick?: (key: string, figure: FigureData) => void;
  onStep?: (step: string) => void;
}

/** A figure of a step: interactive where there is such a form, and as it was drawn for the report. */
export function Figure({ run, step, tool, name, title, height, onPick, onStep }: Props) {
  const [asked, setDrawn] = useState<boolean | null>(null);
  const holder = useRef<HTMLElement>(null);
  const near = useNear(holder);
  const drawn = asked ?? !interactive(tool);
  const data = useLoaded<FigureData>(drawn || !near ? null : figurePath(run, step, name));
  return (
    <figure className="figure" ref={holder}>
      <Frame
        title={title}
        tool={tool}
        picture={api(artifactPath(run, step, name))}
        file={`${step}-${name}.svg`}
        data={data.value}
        failed={data.problem !== null && data.problem.status !== 0}
        drawn={drawn}
        onDrawn={setDrawn}
        {...(height === undefined ? {} : { height })}
        {...(onPick ? { onPick } : {})}
      >
        {onStep && (
          <button type="button" className="quiet small" title="The step that drew it" onClick={() => onStep(step)}>
            {step}
          </button>
        )}
      </Frame>
    </figure>
  );
}

interface DrawingProps {
  run: string;
  tool: string;
  /** Input to `<step>/<output>` of the run. */
  inputs: Record<string, string>;
  params: Record<string, Json>;
  title: string;
  height?: number;
}

/** A figure that is drawn when it is asked for, from what the run made; the run stays as it is. */
export function Drawing({ run, tool, inputs, params, title, height }: DrawingProps) {
  const [job, setJob] = useState<Job | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [drawn, setDrawn] = useState(!interactive(tool));
  const asked = JSON.stringify({ tool, inputs, params });
  useEffect(() => {
    const control = new AbortController();
    setJob(null);
    setProblem(null);
    send<Job>(`runs/${run}/drawings?wait=20`, JSON.parse(asked) as object)
      .then((queued) => ended(queued, control.signal))
      .then((done) => !control.signal.aborted && setJob(done))
      .catch((error: unknown) => !control.signal.aborted && setProblem(problemFrom(error)));
    return () => control.abort();
  }, [run, asked]);
  const name = Object.entries(job?.result.outputs ?? {}).find(([, one]) => one.kind === "figure")?.[0];
  const table = useLoaded<PlainTable>(job && name ? `jobs/${job.id}/outputs/${encodeURIComponent(name)}_data?form=json` : null);
  const data = useMemo<FigureData | null>(
    () =>
      table.value && job
        ? { tool, params, inputs, values: job.result.values ?? {}, groups: {}, columns: table.value.columns, rows: table.value.rows }
        : null,
    // What was asked names tool, params and inputs.
    [table.value, job, asked],
  );
  return (
    <figure className="figure">
      {problem ? (
        <Failure problem={problem} />
      ) : !job || !name ? (
        <div style={{ minHeight: height ?? 340 }}>
          <Loading what={`Drawing ${title}`} />
        </div>
      ) : (
        <Frame
          title={title}
          tool={tool}
          picture={api(`jobs/${job.id}/outputs/${encodeURIComponent(name)}`)}
          file={`${run}-${name}.svg`}
          data={data}
          failed={table.problem !== null && table.problem.status !== 0}
          drawn={drawn}
          onDrawn={setDrawn}
          {...(height === undefined ? {} : { height })}
        />
      )}
    </figure>
  );
}
