import { useState } from "react";
import { send } from "../api";
import { duration, when } from "../format";
import { problemFrom, useLoaded, useTitle } from "../hooks";
import { Icon } from "../parts/icons";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { go, to } from "../route";
import type { Problem, Run } from "../types";

/** All runs; two of them can be compared. */
export function RunsPage() {
  useTitle("Runs");
  const runs = useLoaded<Run[]>("runs?limit=200");
  const [chosen, setChosen] = useState<string[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const toggle = (id: string) =>
    setChosen((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old.slice(-1), id]));
  const remove = (id: string) => {
    if (!window.confirm("Forget this run and its report?")) return;
    send(`runs/${id}`, undefined, "DELETE")
      .then(runs.again)
      .catch((error: unknown) => setProblem(problemFrom(error)));
  };
  return (
    <>
      <div className="page-head">
        <h1>Runs</h1>
        <button type="button" className="primary" disabled={chosen.length !== 2} onClick={() => go(to("compare", ...chosen))}>
          <Icon name="compare" size={16} /> Compare two
        </button>
      </div>
      {problem && <Failure problem={problem} />}
      {runs.problem && <Failure problem={runs.problem} again={runs.again} />}
      {!runs.value && !runs.problem && <Loading what="Runs" />}
      {runs.value?.length === 0 && (
        <Empty title="No run yet">
          <p>
            <a href="#/">Give a file, or run the example.</a>
          </p>
        </Empty>
      )}
      {(runs.value?.length ?? 0) > 0 && (
        <div className="grid" role="region" aria-label="Runs" tabIndex={0}>
          <table className="runs">
            <thead>
              <tr>
                <th scope="col">
                  <span className="sr">Compare</span>
                </th>
                <th scope="col">Status</th>
                <th scope="col">Question</th>
                <th scope="col">Data</th>
                <th scope="col">Started</th>
                <th scope="col" className="right">
                  Took
                </th>
                <th scope="col">
                  <span className="sr">Forget</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {runs.value?.map((one) => (
                <tr key={one.id} className={chosen.includes(one.id) ? "marked" : undefined}>
                  <td>
                    <input type="checkbox" aria-label={`Compare ${one.id}`} checked={chosen.includes(one.id)} onChange={() => toggle(one.id)} />
                  </td>
                  <td>
                    <Badge status={one.status} />
                  </td>
                  <td>
                    <a href={to("runs", one.id)}>{one.question ?? "What is in these data?"}</a>
                    <div className="muted small-text">{one.id}</div>
                  </td>
                  <td>{one.inputs.data}</td>
                  <td className="nowrap">{when(one.started)}</td>
                  <td className="right nowrap">{one.wall_s ? duration(one.wall_s) : "–"}</td>
                  <td>
                    <button type="button" className="quiet icon" aria-label={`Forget ${one.id}`} onClick={() => remove(one.id)}>
                      <Icon name="trash" size={16} />
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
