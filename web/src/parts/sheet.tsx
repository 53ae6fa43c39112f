import { useMemo, useState } from "react";
import { Columns } from "../charts/columns";
import { words } from "../format";
import { problemFrom } from "../hooks";
import type { PlainTable, Problem, Scalar } from "../types";
import { Icon } from "./icons";
import { Failure } from "./states";

/** Roles that a person can give; a column's name says its role, so a corrected sheet carries it wherever it goes. */
const ROLES: [string, string][] = [
  ["", "as found"],
  ["group", "a group to compare"],
  ["batch", "a batch"],
  ["subject", "the subject"],
  ["timepoint", "a time point"],
  ["leave out", "leave it out"],
];
const SHOWN = 40;
const NEW = "group";

interface Props {
  columns: PlainTable;
  sheet: PlainTable;
  guessed: boolean;
  hasSheet: boolean;
  onCorrected: (file: File) => Promise<void>;
}

type Edits = Record<string, Record<string, string>>;

/** The sample sheet as it was understood, to be corrected: roles of columns, and the groups of single samples. */
export function SheetEditor({ columns, sheet, guessed, hasSheet, onCorrected }: Props) {
  const roles = useMemo(() => new Columns(columns), [columns]);
  const [given, setGiven] = useState<Record<string, string>>({});
  const [edits, setEdits] = useState<Edits>({});
  const [added, setAdded] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const own = sheet.columns.slice(1);
  const names = added && !own.includes(NEW) ? [NEW, ...own] : own;
  const changed = Object.values(given).some(Boolean) || Object.keys(edits).length > 0;
  const cell = (row: Scalar[], column: string): string => {
    const key = String(row[0] ?? "");
    const place = sheet.columns.indexOf(column);
    return edits[key]?.[column] ?? (place < 0 || row[place] === null ? "" : String(row[place]));
  };
  const correct = () => {
    setBusy(true);
    setProblem(null);
    const kept = names.filter((name) => given[name] !== "leave out");
    const lines = [
      ["sample", ...kept.map((name) => renamed(name, given[name] ?? ""))],
      ...sheet.rows.map((row) => [String(row[0] ?? ""), ...kept.map((name) => cell(row, name))]),
    ];
    const text = lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
    onCorrected(new File([text], "samples-corrected.csv", { type: "text/csv" }))
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setBusy(false));
  };
  const row = (name: string) => columns.rows.findIndex((_, place) => roles.text(place, "column") === name);
  const listed = [...own.filter((name) => row(name) >= 0), ...roles.levels("column").filter((name) => !own.includes(name))];
  return (
    <section className="sheet-editor">
      <h2>Samples and groups</h2>
      <p className="muted">
        {guessed && !hasSheet
          ? "There is no sample sheet: the groups were read from the sample names. Look whether they are right."
          : "This is how the columns of the sample sheet were understood. What was taken wrongly can be corrected here."}
      </p>
      <div className="grid" role="region" aria-label="Columns of the sample sheet" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col">Taken for</th>
              <th scope="col">Groups</th>
              <th scope="col" className="wide-cell">
                Why
              </th>
              <th scope="col">Correct</th>
            </tr>
          </thead>
          <tbody>
            {listed.map((name) => {
              const place = row(name);
              const levels = roles.text(place, "levels").split(";").filter(Boolean);
              return (
                <tr key={name}>
                  <td>
                    <strong>{name}</strong>
                  </td>
                  <td>{words(roles.text(place, "role"))}</td>
                  <td>
                    <span className="levels">
                      {levels.slice(0, 6).map((level) => (
                        <span key={level} className={`level ${level === roles.text(place, "reference") ? "reference" : ""}`}>
                          {level}
                        </span>
                      ))}
                      {levels.length > 6 && <span className="muted">and {levels.length - 6} more</span>}
                      {!levels.length && <span className="muted">{roles.text(place, "n_levels")} values</span>}
                    </span>
                  </td>
                  <td className="muted wide-cell">{roles.text(place, "why")}</td>
                  <td>
                    {own.includes(name) ? (
                      <select value={given[name] ?? ""} aria-label={`Role of ${name}`} onChange={(event) => setGiven({ ...given, [name]: event.target.value })}>
                        {ROLES.map(([value, label]) => (
                          <option key={value} value={value}>
                            {label}
                          </option>
                        ))}
                      </select>
                    ) : (
                      <span className="muted">from the names</span>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <details>
        <summary>
          Correct single samples <span className="muted">{sheet.rows.length}</span>
        </summary>
        {!own.includes(NEW) && !added && (
          <button type="button" className="small" onClick={() => setAdded(true)}>
            <Icon name="plus" size={14} /> Add a column “{NEW}”
          </button>
        )}
        <div className="grid tall" role="region" aria-label="Samples" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">sample</th>
                {names.slice(0, 8).map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {sheet.rows.slice(0, shown).map((line) => {
                const key = String(line[0] ?? "");
                return (
                  <tr key={key}>
                    <th scope="row">{key}</th>
                    {names.slice(0, 8).map((name) => (
                      <td key={name}>
                        <input
                          className="cell-input"
                          value={cell(line, name)}
                          aria-label={`${name} of ${key}`}
                          onChange={(event) => setEdits({ ...edits, [key]: { ...edits[key], [name]: event.target.value } })}
                        />
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
        {sheet.rows.length > shown && (
          <button type="button" className="quiet small" onClick={() => setShown(shown + 200)}>
            Show more
          </button>
        )}
      </details>
      {problem && <Failure problem={problem} />}
      {changed && (
        <div className="actions sticky">
          <button type="button" className="primary" disabled={busy} onClick={correct}>
            Use the corrected sheet
          </button>
          <button
            type="button"
            onClick={() => {
              setGiven({});
              setEdits({});
              setAdded(false);
            }}
          >
            Undo
          </button>
          <span className="muted">It is kept beside your files as samples-corrected.csv; yours is not changed.</span>
        </div>
      )}
    </section>
  );
}

/** The profile reads roles from names; a name that says the role already is kept. */
const renamed = (name: string, role: string) => (!role || name.toLowerCase().split(/\W+/).includes(role) ? name : `${role} ${name.replace(/^_+/, "")}`);

const quoted = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
