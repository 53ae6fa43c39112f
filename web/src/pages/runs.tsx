import { useEffect, useMemo, useState } from "react";
import { flushSync } from "react-dom";
import { get, query, send } from "../api";
import { duration, when } from "../format";
import { problemFrom, useLoaded, useTitle } from "../hooks";
import { Icon } from "../parts/icons";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { go, to } from "../route";
import type { Problem, Run } from "../types";

const PAGE = 100;
/** Pause between looks at runs that are at work. */
const LOOK_MS = 4000;

/** All runs; two of them can be compared. */
export function RunsPage({ first }: { first: string | null }) {
  useTitle("Runs");
  const [count, setCount] = useState(0);
  const newest = useLoaded<Run[]>(`runs?limit=${PAGE}`, count);
  const [older, setOlder] = useState<Run[]>([]);
  const [all, setAll] = useState(false);
  const [chosen, setChosen] = useState<string[]>(first ? [first] : []);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [search, setSearch] = useState("");
  const [status, setStatus] = useState("");
  const [forgetting, setForgetting] = useState<string | null>(null);
  const runs = useMemo(() => {
    const known = new Set((newest.value ?? []).map((one) => one.id));
    return [...(newest.value ?? []), ...older.filter((one) => !known.has(one.id))];
  }, [newest.value, older]);
  const open = runs.some((one) => ["queued", "running"].includes(one.status));
  useEffect(() => {
    if (!open) return;
    const timer = window.setInterval(() => !document.hidden && setCount((old) => old + 1), LOOK_MS);
    return () => window.clearInterval(timer);
  }, [open]);
  const text = search.trim().toLowerCase();
  const shown = runs.filter(
    (one) => (!status || one.status === status) && (!text || [one.id, one.question, one.inputs.data].some((part) => part?.toLowerCase().includes(text))),
  );
  const toggle = (id: string) => setChosen((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old.slice(-1), id]));
  const fail = (error: unknown) => setProblem(problemFrom(error));
  const remove = (id: string) => {
    setForgetting(null);
    setProblem(null);
    send(`runs/${id}`, undefined, "DELETE")
      .then(() => {
        document.getElementById("main")?.focus(); // its row goes
        setOlder((old) => old.filter((one) => one.id !== id));
        setChosen((old) => old.filter((one) => one !== id));
        setCount((old) => old + 1);
      })
      .catch(fail);
  };
  const keepIt = (id: string) => {
    flushSync(() => setForgetting(null));
    document.getElementById(`forget-${id}`)?.focus();
  };
  const more = () => {
    const last = runs[runs.length - 1];
    if (!last) return;
    get<Run[]>(`runs?${query({ limit: PAGE, before: last.id })}`)
      .then((found) => {
        setOlder((old) => [...old, ...found]);
        setAll(found.length < PAGE);
      })
      .catch(fail);
  };
  const statuses = [...new Set(runs.map((one) => one.status))].sort();
  return (
    <>
      <div className="page-head">
        <h1>Runs</h1>
        {runs.length > 1 && (
          <div className="actions">
            <span className="muted small-text">{["Tick two to compare them", "Tick one more", "Two are ticked"][chosen.length]}</span>
            <button type="button" className="primary" disabled={chosen.length !== 2} onClick={() => go(to("compare", ...chosen))}>
              <Icon name="compare" size={16} /> Compare
            </button>
          </div>
        )}
      </div>
      {problem && <Failure problem={problem} />}
      {newest.problem && <Failure problem={newest.problem} again={newest.again} />}
      {!newest.value && !newest.problem && <Loading what="Runs" />}
      {newest.value?.length === 0 && (
        <Empty title="No run yet">
          <p>
            <a href="#/">Give a file, or run the example.</a>
          </p>
        </Empty>
      )}
      {runs.length > 6 && (
        <div className="filters">
          <input type="search" value={search} placeholder="Search questions and files" aria-label="Search runs" onChange={(event) => setSearch(event.target.value)} />
          <select value={status} aria-label="Status" onChange={(event) => setStatus(event.target.value)}>
            <option value="">Every status</option>
            {statuses.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
          <span className="muted">
            {shown.length === runs.length ? `${runs.length} runs` : `${shown.length} of ${runs.length}`}
            {runs.length >= PAGE && !all ? " so far" : ""}
          </span>
        </div>
      )}
      {runs.length > 0 && shown.length === 0 && <Empty title="No run matches" />}
      {shown.length > 0 && (
        <div className="grid whole" role="region" aria-label="Runs" tabIndex={0}>
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
              {shown.map((one) => (
                <tr key={one.id} className={chosen.includes(one.id) ? "marked" : undefined}>
                  <td>
                    <input type="checkbox" aria-label={`Compare ${one.id}`} checked={chosen.includes(one.id)} onChange={() => toggle(one.id)} />
                  </td>
                  <td>
                    <Badge status={one.status} />
                  </td>
                  <td className="run-question">
                    <a href={to("runs", one.id)}>{one.question ?? "What is in these data?"}</a>
                    <div className="muted small-text">{one.id}</div>
                  </td>
                  <td className="run-data">{one.inputs.data}</td>
                  <td className="nowrap">{when(one.started)}</td>
                  <td className="right nowrap">{one.wall_s ? duration(one.wall_s) : "–"}</td>
                  <td className="nowrap" onKeyDown={(event) => event.key === "Escape" && forgetting === one.id && keepIt(one.id)}>
                    {forgetting === one.id ? (
                      <>
                        <button type="button" className="small danger" autoFocus onClick={() => remove(one.id)}>
                          Forget it
                        </button>{" "}
                        <button type="button" className="small" onClick={() => keepIt(one.id)}>
                          Keep
                        </button>
                      </>
                    ) : (
                      <button
                        type="button"
                        className="quiet icon"
                        id={`forget-${one.id}`}
                        aria-label={`Forget ${one.id}`}
                        disabled={["queued", "running"].includes(one.status)}
                        title={["queued", "running"].includes(one.status) ? "Cancel it first" : "Forget this run and its report"}
                        onClick={() => setForgetting(one.id)}
                      >
                        <Icon name="trash" size={16} />
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {runs.length >= PAGE && !all && (
        <p className="more">
          <button type="button" onClick={more}>
            Show older runs
          </button>
        </p>
      )}
    </>
  );
}
