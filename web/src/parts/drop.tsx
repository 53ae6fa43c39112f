import { useRef, useState, type DragEvent } from "react";
import { tooLarge, upload } from "../api";
import { size } from "../format";
import { addressOf, alike, MOST_FILES, understood, type Given, type Role } from "../given";
import { problemFrom } from "../hooks";
import { go } from "../route";
import type { Problem } from "../types";
import { Icon } from "./icons";
import { RoleChoice } from "./role";
import { Failure } from "./states";

interface Row {
  file: File;
  /** Empty: found out from the contents. */
  role: Role;
}

/** Where files are given: one or several together, each with what it is for. */
export function Drop({ most }: { most: number }) {
  const [rows, setRows] = useState<Row[]>([]);
  const [over, setOver] = useState(false);
  const [doing, setDoing] = useState<{ text: string; share: number | null } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const card = useRef<HTMLElement>(null);
  const has = (role: Role) => rows.some((one) => one.role === role);

  const add = (list: FileList | null, role: Role) => {
    const files = [...(list ?? [])];
    if (!files.length) return;
    setProblem(null);
    setRows((old) => {
      // A single file in a place that is taken goes there; several are told apart by their contents.
      const said = files.length === 1 ? role : "";
      const kept = said ? old.filter((one) => one.role !== said) : old;
      return [...kept, ...files.map((file) => ({ file, role: said }))].slice(0, MOST_FILES);
    });
    if (rows.length + files.length > MOST_FILES) {
      setProblem({ title: "Too many files", status: 422, detail: `at most ${MOST_FILES} files are taken together`, mend: "give the rest to a run of its own" });
    }
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const files = event.dataTransfer.files;
    add(files, files.length === 1 && !rows.length ? "data" : "");
  };
  const remove = (row: Row) => {
    setRows((old) => old.filter((one) => one !== row));
    setProblem(null);
    card.current?.querySelector<HTMLElement>(".slots button")?.focus();
  };
  const start = async () => {
    const refused = rows.map(({ file }) => tooLarge(file, most)).find((one) => one !== null);
    if (refused) {
      setProblem(refused.problem);
      return;
    }
    setProblem(null);
    const all = rows.reduce((sum, { file }) => sum + file.size, 0);
    let sent = 0;
    try {
      const given: Given = {};
      const names: Record<string, string> = {};
      for (const { file, role } of rows) {
        setDoing({ text: `Uploading ${file.name}`, share: sent / all });
        const before = sent;
        const made = await upload(file, (one) => setDoing({ text: `Uploading ${file.name}`, share: (before + one * file.size) / all }));
        if (made.id in given) throw alike(file.name, names[made.id] ?? "another file");
        given[made.id] = role;
        names[made.id] = file.name;
        sent += file.size;
      }
      const ids = Object.keys(given);
      if (ids.length === 1) {
        go(addressOf({ [ids[0] ?? ""]: "data" }));
        return;
      }
      let roles = given;
      if (Object.values(given).some((role) => !role)) {
        setDoing({ text: "Finding out what each file is", share: null });
        roles = Object.fromEntries((await understood(given)).map((one) => [one.id, one.role]));
      }
      if (!Object.values(roles).includes("data")) {
        setProblem({ title: "No data", status: 422, detail: "none of the files could be taken for the data", mend: "say which file holds the quantities" });
        setDoing(null);
        return;
      }
      go(addressOf(roles));
    } catch (error) {
      setProblem(problemFrom(error));
      setDoing(null);
    }
  };
  const twice = ["data", "samples", "cohort", "cohort_samples"].find((role) => rows.filter((one) => one.role === role).length > 1);
  const noData = rows.length > 0 && !has("data") && !rows.some((one) => !one.role);
  const wrong = twice ? "Two files have the same place." : noData ? "No file is the data." : "";
  return (
    <section ref={card} className="drop-card" aria-label="Your data">
      <div
        className={`drop ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <Icon name="upload" size={30} />
        <p className="drop-title">Drop your files here</p>
        <p className="muted">
          MaxQuant, DIA-NN, Spectronaut, FragPipe, Proteome Discoverer, Olink, mzTab, h5ad, FCS, or any wide table. Its sample sheet, a second
          cohort and further layers of the same samples may come along: what each file is, is found out.
        </p>
        {rows.length > 0 && (
          <ul className="given-files" aria-label="Files">
            {rows.map((row, place) => (
              <li key={`${row.file.name} ${place}`}>
                <Icon name="file" />
                <span className="slot-name" title={row.file.name}>
                  {row.file.name}
                </span>
                <span className="muted">{size(row.file.size)}</span>
                <RoleChoice
                  name={row.file.name}
                  role={row.role}
                  none={rows.length > 1 ? "find out what it is" : "the data"}
                  onRole={(role) => setRows(rows.map((one) => (one === row ? { ...one, role } : one)))}
                />
                <button type="button" className="quiet icon" aria-label={`Remove ${row.file.name}`} onClick={() => remove(row)}>
                  <Icon name="close" size={15} />
                </button>
              </li>
            ))}
          </ul>
        )}
        <div className="slots">
          {!has("data") && <Pick label="Data" onFiles={(list) => add(list, "data")} />}
          {!has("samples") && <Pick label="Sample sheet" hint="optional" onFiles={(list) => add(list, "samples")} />}
          {rows.length > 0 && <Pick label="More files" hint="a cohort, a layer" onFiles={(list) => add(list, "")} />}
        </div>
      </div>
      {doing && (
        <div role="status">
          <p className="muted small-text">{doing.text} …</p>
          {doing.share === null ? <progress aria-label={doing.text} /> : <progress value={doing.share} max={1} aria-label="Upload" />}
        </div>
      )}
      {wrong && (
        <p className="bad-text" role="status">
          {wrong}
        </p>
      )}
      {problem && <Failure problem={problem} />}
      <button type="button" className="primary large" disabled={!rows.length || wrong !== "" || doing !== null} onClick={() => void start()}>
        {doing === null ? "See what it is" : doing.share === null ? "One moment" : `Uploading ${Math.round(100 * doing.share)} %`}
      </button>
    </section>
  );
}

/** A button that asks for files. */
export function Pick({ label, hint, onFiles }: { label: string; hint?: string; onFiles: (files: FileList | null) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <div className="slot">
      <input
        ref={input}
        type="file"
        multiple
        className="sr"
        tabIndex={-1}
        aria-label={label}
        onChange={(event) => {
          onFiles(event.target.files);
          event.target.value = "";
        }}
      />
      <button type="button" className="slot-choose" onClick={() => input.current?.click()}>
        <Icon name="plus" size={16} /> {label} {hint && <span className="muted">{hint}</span>}
      </button>
    </div>
  );
}
