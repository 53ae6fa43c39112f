import { useEffect, useRef, useState } from "react";
import { api, artifactPath, query, tablePath } from "../api";
import { short, words } from "../format";
import { useLoaded } from "../hooks";
import type { Scalar, TablePage } from "../types";
import { Icon } from "./icons";
import { Empty, Failure, Loading } from "./states";

const ROWS = 25;

interface Props {
  run: string;
  step: string;
  name: string;
  /** Key of the row to show first. */
  row?: string | null;
  column?: string | null;
  /** Rows can be picked where the table's key has this name. */
  picks?: string;
  picked?: string | null;
  onPick?: (key: string, name: string) => void;
}

/** A table of a step: sorted, searched and paged by the server. */
export function StepTable({ run, step, name, row, column, picks, picked, onPick }: Props) {
  const [sort, setSort] = useState<{ by: string; descending: boolean } | null>(null);
  const [search, setSearch] = useState("");
  const [typed, setTyped] = useState("");
  const [offset, setOffset] = useState(0);
  const [around, setAround] = useState(row ?? null);
  const asked = useRef(row !== null && row !== undefined);
  useEffect(() => {
    const timer = window.setTimeout(() => {
      if (typed !== search) {
        setSearch(typed);
        setOffset(0);
        setAround(null);
      }
    }, 250);
    return () => window.clearTimeout(timer);
  }, [typed, search]);
  const found = useLoaded<TablePage>(
    `${tablePath(run, step, name)}?${query({
      limit: ROWS,
      offset,
      sort: sort?.by,
      descending: sort?.descending,
      search,
      row: around,
    })}`,
  );
  const last = useRef<TablePage | null>(null);
  if (found.value) last.current = found.value;
  // Tests are told from the smallest p on, until another order is asked for.
  const tested = found.value?.columns.includes("p") === true;
  useEffect(() => {
    if (!tested || asked.current) return;
    asked.current = true;
    setSort({ by: "p", descending: false });
  }, [tested]);
  const page = found.value ?? last.current;
  if (found.problem && !last.current) return <Failure problem={found.problem} again={found.again} />;
  if (!page) return <Loading what="Table" />;
  const pickable = onPick !== undefined && page.columns[0] === picks;
  const turn = (to: number) => {
    setAround(null);
    setOffset(Math.max(0, to));
  };
  return (
    <div className="table-view">
      <div className="table-tools">
        <input
          type="search"
          value={typed}
          placeholder="Search"
          aria-label={`Search ${words(name)}`}
          onChange={(event) => setTyped(event.target.value)}
        />
        <span className="muted">
          {page.n_found === page.n_total ? `${page.n_total.toLocaleString("en")} rows` : `${page.n_found.toLocaleString("en")} of ${page.n_total.toLocaleString("en")} rows`}
        </span>
        <a className="quiet small" href={api(`${artifactPath(run, step, name)}?form=csv`)} download>
          <Icon name="download" size={15} /> CSV
        </a>
      </div>
      {found.problem && <Failure problem={found.problem} again={found.again} />}
      {page.rows.length === 0 ? (
        <Empty title={search ? `Nothing holds “${search}”` : "The table has no rows"} />
      ) : (
        <Grid
          label={`${words(name)} of step ${step}`}
          page={page}
          {...(pickable ? { picked: picked ?? null, onPick } : {})}
          sort={sort}
          column={column ?? null}
          onSort={(by) => {
          asked.current = true;
            setSort((old) => (old?.by === by ? { by, descending: !old.descending } : { by, descending: false }));
            setOffset(0);
            setAround(null);
          }}
        />
      )}
      {pickable && picked === null && <p className="muted small-text">Choose a row to see its values in every sample.</p>}
      {page.n_found > ROWS && (
        <div className="pager">
          <button type="button" className="small" disabled={page.offset === 0} onClick={() => turn(page.offset - ROWS)}>
            Previous
          </button>
          <span className="muted">
            {(page.offset + 1).toLocaleString("en")}–{Math.min(page.n_found, page.offset + page.rows.length).toLocaleString("en")}
          </span>
          <button
            type="button"
            className="small"
            disabled={page.offset + page.rows.length >= page.n_found}
            onClick={() => turn(page.offset + ROWS)}
          >
            Next
          </button>
        </div>
      )}
    </div>
  );
}

interface GridProps {
  label: string;
  page: TablePage;
  sort: { by: string; descending: boolean } | null;
  column: string | null;
  onSort?: (column: string) => void;
  picked?: string | null;
  onPick?: (key: string, name: string) => void;
}

/** Rows and columns; a marked row is scrolled to. */
export function Grid({ label, page, sort, column, onSort, picked = null, onPick }: GridProps) {
  const marked = useRef<HTMLTableRowElement>(null);
  const gene = page.columns.indexOf("gene");
  const key = page.at === null ? null : String(page.rows[page.at]?.[0] ?? "");
  useEffect(() => {
    const cell = marked.current?.querySelector(".cell-marked");
    (cell ?? marked.current)?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [key]);
  return (
    <div className="grid" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {page.columns.map((name, place) => (
              <th
                key={name}
                scope="col"
                className={page.kinds[place] === "number" ? "right" : undefined}
                aria-sort={sort?.by === name ? (sort.descending ? "descending" : "ascending") : undefined}
              >
                {onSort ? (
                  <button type="button" onClick={() => onSort(name)}>
                    {words(name)}
                    {sort?.by === name ? (sort.descending ? " ↓" : " ↑") : ""}
                  </button>
                ) : (
                  words(name)
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {page.rows.map((cells, place) => (
            <tr
              key={`${page.offset + place} ${String(cells[0])}`}
              ref={place === page.at ? marked : undefined}
              className={(picked === null ? place === page.at : String(cells[0]) === picked) ? "marked" : undefined}
            >
              {cells.map((cell, at) => (
                <td
                  key={page.columns[at]}
                  className={`${page.kinds[at] === "number" ? "right" : ""} ${place === page.at && page.columns[at] === column ? "cell-marked" : ""}`}
                  title={cell === null ? undefined : String(cell)}
                >
                  {at === 0 && onPick ? (
                    <button type="button" className="row-key clip" aria-pressed={String(cell) === picked} onClick={() => onPick(String(cell), String(cells[gene] ?? cell))}>
                      {String(cell)}
                    </button>
                  ) : (
                    <Cell value={cell} />
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Cell({ value }: { value: Scalar }) {
  if (value === null || value === "") return <span className="muted">–</span>;
  if (typeof value === "number") return <>{short(value)}</>;
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  return <span className="clip">{value}</span>;
}
