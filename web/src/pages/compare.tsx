import { useMemo, useState } from "react";
import { query } from "../api";
import { Chart, type Builder } from "../charts/chart";
import { axis, legend, tooltip } from "../charts/palette";
import { short, words } from "../format";
import { useLoaded, useTitle } from "../hooks";
import { Empty, Failure, Loading } from "../parts/states";
import { Grid } from "../parts/table";
import { to } from "../route";
import type { Comparison, Run, TablePage } from "../types";
import { Columns } from "../charts/columns";

const PARTS = ["inputs", "settings", "versions", "objectives", "workflows", "claims", "hypotheses"];

/** Two runs side by side. */
export function ComparePage({ first, second }: { first: string; second: string }) {
  useTitle("Compare runs");
  const found = useLoaded<Comparison>(`comparisons?${query({ first, second })}`);
  const one = useLoaded<Run>(`runs/${first}`);
  const two = useLoaded<Run>(`runs/${second}`);
  const [part, setPart] = useState<string | null>(null);
  const counts = useMemo(() => {
    const table = found.value?.differences;
    const made = new Map<string, number>();
    if (table) {
      const columns = new Columns(table);
      table.rows.forEach((_, row) => made.set(columns.text(row, "part"), (made.get(columns.text(row, "part")) ?? 0) + 1));
    }
    return made;
  }, [found.value]);
  const scatter = useMemo(() => (found.value ? agreement(found.value.effects) : null), [found.value]);
  const parts = PARTS.filter((name) => counts.has(name) || found.value?.equal[name]);
  const shownPart = part ?? ["hypotheses", "claims", "settings", "inputs"].find((name) => counts.has(name)) ?? null;
  return (
    <>
      <div className="page-head">
        <h1>Two runs side by side</h1>
      </div>
      <div className="versus">
        {[one, two].map((run, place) => (
          <a key={place} className="versus-run" href={to("runs", place ? second : first)}>
            <span className="overline">{place ? "Second" : "First"}</span>
            <strong>{run.value?.question ?? (place ? second : first)}</strong>
            {run.value && (
              <span className="muted">
                {run.value.inputs.data} · seed {run.value.seed} · {run.value.status}
              </span>
            )}
          </a>
        ))}
      </div>
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {!found.value && !found.problem && <Loading what="Comparison" />}
      {found.value && (
        <>
          <p className={found.value.same_findings ? "verdict good" : "verdict"}>
            {found.value.same_findings ? "Both runs find the same: claims and hypotheses are equal." : "The runs do not find the same."}
          </p>
          <div className="tiles" role="group" aria-label="Parts">
            {parts.map((name) => (
              <button key={name} type="button" className="tile" aria-pressed={shownPart === name} onClick={() => setPart(name)}>
                <span className="tile-label">{words(name)}</span>
                <strong>{counts.get(name) ?? 0} differ</strong>
                <span className="muted">{found.value?.equal[name] ?? 0} equal</span>
              </button>
            ))}
          </div>
          {scatter && (
            <section>
              <h2>Effects in both</h2>
              <div className="figure">
                <Chart label="Effects of the second run against the first" build={scatter} height={380} />
              </div>
            </section>
          )}
          <section>
            <h2>{shownPart ? `Differences in ${words(shownPart)}` : "Differences"}</h2>
            {shownPart && counts.has(shownPart) ? (
              <Grid label="Differences" page={ofPart(found.value.differences, shownPart)} sort={null} column={null} />
            ) : (
              <Empty title="No difference" />
            )}
          </section>
        </>
      )}
    </>
  );
}

function ofPart(table: TablePage, part: string): TablePage {
  const at = table.columns.indexOf("part");
  const keep = ["subject", "change", "first", "second"].map((name) => table.columns.indexOf(name));
  return {
    ...table,
    columns: keep.map((place) => table.columns[place] ?? ""),
    kinds: keep.map((place) => table.kinds[place] ?? "text"),
    rows: table.rows.filter((row) => row[at] === part).map((row) => keep.map((place) => row[place] ?? null)),
  };
}

function agreement(table: TablePage): Builder | null {
  const t = new Columns(table);
  if (!table.rows.length || !t.has("first", "second")) return null;
  const kinds = t.levels("change");
  return (colours) => {
    const look: Record<string, string> = { kept: colours.accent, gained: colours.up, lost: colours.down, sign: colours.groups[4] ?? colours.up };
    return {
      grid: { left: 60, right: 20, top: 44, bottom: 48 },
      legend: legend(colours, kinds.map((one) => one || "neither")),
      tooltip: tooltip(colours, (({ data }: { data: { value: number[]; name: string } }) =>
        `${data.name}\nfirst ${short(data.value[0] ?? 0)}\nsecond ${short(data.value[1] ?? 0)}`) as never),
      xAxis: axis(colours, "effect in the first run", { type: "value" }),
      yAxis: axis(colours, "effect in the second run", { type: "value", nameGap: 36 }),
      series: kinds.map((kind) => ({
        name: kind || "neither",
        type: "scatter",
        symbolSize: 6,
        itemStyle: { color: look[kind] ?? colours.neutral, opacity: 0.7 },
        data: table.rows.flatMap((_, row) =>
          t.text(row, "change") === kind
            ? [{ value: [t.number(row, "first"), t.number(row, "second")], name: t.text(row, "gene") || t.text(row, "feature") }]
            : [],
        ),
      })),
    };
  };
}
