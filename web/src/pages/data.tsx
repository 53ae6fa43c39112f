import { useEffect, useMemo, useState } from "react";
import { ended, send, upload } from "../api";
import { missingness } from "../charts/bars";
import { Chart } from "../charts/chart";
import { Columns } from "../charts/columns";
import { words } from "../format";
import { addressOf, asked as filesOf, type Given } from "../given";
import { problemFrom, useLoaded, useTitle } from "../hooks";
import { GivenFiles } from "../parts/given_files";
import { Icon } from "../parts/icons";
import { SheetEditor } from "../parts/sheet";
import { Failure, Loading } from "../parts/states";
import { go, to } from "../route";
import type { Dataset, Job, Json, PlainTable, Problem, Run, Scalar, Session } from "../types";

interface Props {
  id: string;
  /** What each file of the run is for. */
  given: Given;
  question: string;
  session: Session;
}

/** What a file is: told, corrected where it was taken wrongly, and then asked. */
export function DataPage({ id, given, question, session }: Props) {
  const samples = Object.keys(given).find((one) => given[one] === "samples") ?? null;
  const dataset = useLoaded<Dataset>(`datasets/${id}`);
  const sheet = useLoaded<Dataset>(samples ? `datasets/${samples}` : null);
  const [load, setLoad] = useState<Record<string, Json>>({});
  const [draft, setDraft] = useState<Draft>({ question, approval: "never", depth: "usual", policy: "" });
  const [job, setJob] = useState<Job | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [tries, setTries] = useState(0);
  const gone = dataset.problem !== null && !dataset.value;
  useTitle(dataset.value?.name ?? "Data");

  useEffect(() => {
    // The subject is a column of the sheet that was there before.
    setLoad(({ subject: _, ...rest }) => rest);
  }, [samples]);
  const asked = JSON.stringify({ samples, load });
  useEffect(() => {
    const control = new AbortController();
    setJob(null);
    setProblem(null);
    send<Job>(`datasets/${id}/profile`, JSON.parse(asked) as object)
      .then((queued) => ended(queued, control.signal))
      .then((done) => !control.signal.aborted && setJob(done))
      .catch((error: unknown) => !control.signal.aborted && setProblem(problemFrom(error)));
    return () => control.abort();
  }, [id, asked, tries]);

  return (
    <>
      <div className="page-head">
        <div>
          <p className="overline">Understood as</p>
          <h1 className="file-name">{dataset.value?.name ?? id}</h1>
          {sheet.value && <p className="muted">with the sample sheet {sheet.value.name}</p>}
        </div>
      </div>
      {dataset.problem && (
        <>
          <Failure problem={dataset.problem} again={dataset.again} />
          <p>
            <a href="#/">Give a file</a>
          </p>
        </>
      )}
      {!gone && <GivenFiles given={given} question={draft.question} most={session.upload_bytes} />}
      {problem && !gone && (
        <>
          <Failure problem={problem} again={() => setTries(tries + 1)} />
          <Reading load={load} onLoad={setLoad} columns={[]} open />
        </>
      )}
      {!job && !problem && <Loading what="Reading the file, and finding out what can be asked of it" />}
      {job && <Understood job={job} id={id} given={given} load={load} onLoad={setLoad} draft={draft} onDraft={setDraft} session={session} />}
    </>
  );
}

/** What is asked, and how: it stays while files are corrected. */
interface Draft {
  question: string;
  approval: string;
  depth: string;
  policy: string;
}

interface UnderstoodProps extends Omit<Props, "question"> {
  job: Job;
  load: Record<string, Json>;
  onLoad: (load: Record<string, Json>) => void;
  draft: Draft;
  onDraft: (draft: Draft) => void;
}

function Understood({ job, given, load, onLoad, draft, onDraft, session }: UnderstoodProps) {
  const samples = Object.keys(given).find((one) => given[one] === "samples") ?? null;
  const output = (name: string) => (job.result.outputs?.[name] ? `jobs/${job.id}/outputs/${name}?form=json` : null);
  const columns = useLoaded<PlainTable>(output("columns"));
  const contrasts = useLoaded<PlainTable>(output("contrasts"));
  const notices = useLoaded<PlainTable>(output("notices"));
  const sheet = useLoaded<PlainTable>(output("sheet"));
  const sampleTable = useLoaded<PlainTable>(output("samples"));
  const values = job.result.values ?? {};
  const missing = useMemo(() => (sampleTable.value ? missingness(sampleTable.value) : null), [sampleTable.value]);
  const names = columns.value ? new Columns(columns.value).levels("column") : [];
  return (
    <>
      <div className="tiles four">
        {tiles(values).map(([label, value, more]) => (
          <div key={label} className="tile">
            <span className="tile-label">{label}</span>
            <strong>{value}</strong>
            {more && <span className="muted">{more}</span>}
          </div>
        ))}
      </div>
      <div className="two-columns">
        <div>
          {contrasts.value && <Comparisons table={contrasts.value} />}
          <Ask given={given} load={load} draft={draft} onDraft={onDraft} session={session} />
        </div>
        <div>
          {missing && (
            <section>
              <h2>What is missing in each sample</h2>
              {values.missing_rate ? (
                <Chart label="Share of missing values of each sample" build={missing} height={230} />
              ) : (
                <p className="muted">Nothing: every feature was measured in every sample.</p>
              )}
            </section>
          )}
          {notices.value && notices.value.rows.length > 0 && (
            <section>
              <h2>What to know</h2>
              <Notices table={notices.value} />
            </section>
          )}
        </div>
      </div>
      {columns.value && sheet.value && (
        <SheetEditor
          columns={columns.value}
          sheet={sheet.value}
          guessed={values.group_guessed === true}
          hasSheet={samples !== null}
          onCorrected={async (file) => {
            const made = await upload(file, () => undefined);
            const rest = Object.fromEntries(Object.entries(given).filter(([one]) => one !== samples));
            go(addressOf({ ...rest, [made.id]: "samples" }, draft.question));
          }}
        />
      )}
      <Reading load={load} onLoad={onLoad} columns={names} open={false} />
    </>
  );
}

const percent = (value: Scalar | undefined) => (typeof value === "number" ? `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %` : "–");
const count = (value: Scalar | undefined) => (typeof value === "number" ? value.toLocaleString("en") : "–");
const text = (value: Scalar | undefined) => (value === null || value === undefined || value === "" ? "unknown" : String(value));

function tiles(v: Record<string, Scalar>): [string, string, string?][] {
  const removed = ["n_removed_contaminant", "n_removed_reverse", "n_removed_only_by_site"].reduce(
    (sum, name) => sum + (typeof v[name] === "number" ? Number(v[name]) : 0),
    0,
  );
  const subjects = typeof v.n_subjects === "number" && v.n_subjects !== v.n_samples ? `of ${count(v.n_subjects)} subjects` : String(v.unit_why ?? "");
  return [
    ["Software", v.software === "generic" ? "any table" : text(v.software), `${text(v.level)} level`],
    ["Organism", text(v.organism === "unknown" ? null : v.organism), v.n_with_gene ? `${count(v.n_with_gene)} with a gene name` : ""],
    [v.data_kind ? words(String(v.data_kind)).replace(/^./, (one) => one.toUpperCase()) : "Features", count(v.n_features), removed ? `${removed} contaminants and decoys taken out` : "nothing taken out"],
    ["Samples", count(v.n_samples), subjects],
    ["Missing", v.missing_rate === 0 ? "none" : percent(v.missing_rate), v.missing_rate === 0 ? "" : v.condition_linked_missingness === true ? "linked to the groups" : "not linked to the groups"],
    ["Scale", v.already_log2 === true ? "log₂ already" : `${text(v.scale_found)} → log₂`, v.quantity && v.quantity !== "value" ? `quantity ${text(v.quantity)}` : ""],
    ["Batches", v.batch_columns ? String(v.batch_columns).split(";").join(", ") : "none seen", v.batch_covariates ? "will be modelled" : ""],
    ["Outliers", count(v.n_outliers), v.outliers ? String(v.outliers).split(";").slice(0, 3).join(", ") : "samples"],
  ];
}

function Notices({ table }: { table: PlainTable }) {
  const t = new Columns(table);
  const [all, setAll] = useState(false);
  const shown = table.rows.map((_, row) => row).filter((row) => all || t.text(row, "severity") !== "info");
  return (
    <ul className="notices" aria-label="What to know">
      {shown.slice(0, all ? undefined : 4).map((row) => (
        <li key={row} className={t.text(row, "severity")}>
          <Icon name={t.text(row, "severity") === "info" ? "info" : "warning"} size={16} />
          <span>
            {t.text(row, "text")}. <span className="muted">{t.text(row, "mend")}</span>
          </span>
        </li>
      ))}
      {table.rows.length > Math.min(4, shown.length) && (
        <li>
          <button type="button" className="quiet small" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${table.rows.length}`}
          </button>
        </li>
      )}
    </ul>
  );
}

function Comparisons({ table }: { table: PlainTable }) {
  const t = new Columns(table);
  if (!table.rows.length) return null;
  return (
    <section>
      <h2>What can be compared</h2>
      <ul className="contrasts">
        {table.rows.slice(0, 6).map((_, row) => (
          <li key={t.text(row, "contrast")}>
            <strong>
              {t.text(row, "a")} <span className="muted">against</span> {t.text(row, "b")}
            </strong>
            <span className="muted">
              {t.text(row, "n_a")} against {t.text(row, "n_b")}, by {t.text(row, "factor")}
            </span>
            {t.text(row, "refused") && <span className="bad-text">{t.text(row, "refused")}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

const DEPTHS: Record<string, { label: string; budget: string[] }> = {
  quick: { label: "Quick look (4 questions)", budget: ["objectives=4", "steps=30"] },
  usual: { label: "Usual (8 questions)", budget: [] },
  deep: { label: "Thorough (16 questions)", budget: ["objectives=16", "steps=150", "wall=60m"] },
};

type AskProps = Pick<UnderstoodProps, "given" | "load" | "draft" | "onDraft" | "session">;

function Ask({ given, load, draft, onDraft, session }: AskProps) {
  const { question, approval, depth, policy } = draft;
  const set = (change: Partial<Draft>) => onDraft({ ...draft, ...change });
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const start = () => {
    setBusy(true);
    setProblem(null);
    send<Run>("runs", {
      ...filesOf(given),
      load,
      question: question.trim() || null,
      approval,
      budget: DEPTHS[depth]?.budget ?? [],
      ...(policy ? { policy } : {}),
    })
      .then((run) => go(to("runs", run.id)))
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setBusy(false));
  };
  return (
    <section className="ask-box">
      <h2>Ask</h2>
      <label>
        What do you want to know? <span className="muted">Leave it empty to see what is there.</span>
        <textarea rows={2} maxLength={2000} value={question} placeholder="Which proteins differ in treated cells?" onChange={(event) => set({ question: event.target.value })} />
      </label>
      <div className="ask-row">
        <label>
          How far
          <select value={depth} onChange={(event) => set({ depth: event.target.value })}>
            {Object.entries(DEPTHS).map(([name, one]) => (
              <option key={name} value={name}>
                {one.label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Ask me before
          <select value={approval} onChange={(event) => set({ approval: event.target.value })}>
            <option value="never">nothing: go ahead</option>
            <option value="costly">costly steps</option>
            <option value="always">every plan and step</option>
          </select>
        </label>
        {session.asks && (
          <label>
            Who decides
            <select value={policy} onChange={(event) => set({ policy: event.target.value })}>
              <option value="">as the server is set</option>
              <option value="rules">rules, no language model</option>
              <option value="llm">language model</option>
            </select>
          </label>
        )}
      </div>
      {problem && <Failure problem={problem} />}
      <button type="button" className="primary large" disabled={busy} onClick={start}>
        <Icon name="play" size={17} /> Start
      </button>
    </section>
  );
}

const CHOICES: Record<string, string[]> = {
  scale: ["auto", "raw", "log2", "ln", "log10"],
  orientation: ["auto", "samples_in_rows", "samples_in_columns"],
  zero_is_missing: ["auto", "yes", "no"],
  quantity: ["auto", "lfq", "intensity", "ibaq", "top3", "reporter", "abundance", "value", "area", "ratio", "count"],
  separator: ["auto", "tab", "comma", "semicolon", "space"],
  decimal: ["auto", ".", ","],
};

/** What the reader should not decide alone. */
function Reading({ load, onLoad, columns, open }: { load: Record<string, Json>; onLoad: (load: Record<string, Json>) => void; columns: string[]; open: boolean }) {
  const [draft, setDraft] = useState(load);
  const set = (name: string, value: string) => {
    const { [name]: _, ...rest } = draft;
    setDraft(value && value !== "auto" ? { ...rest, [name]: value } : rest);
  };
  return (
    <details className="reading" open={open}>
      <summary>Read it differently</summary>
      <div className="gate-edit row">
        {Object.entries(CHOICES).map(([name, choices]) => (
          <label key={name}>
            {words(name)}
            <select value={String(draft[name] ?? "auto")} onChange={(event) => set(name, event.target.value)}>
              {choices.map((one) => (
                <option key={one} value={one}>
                  {words(one)}
                </option>
              ))}
            </select>
          </label>
        ))}
        {columns.length > 0 && (
          <label>
            subject
            <select value={String(draft.subject ?? "auto")} onChange={(event) => set("subject", event.target.value)}>
              <option value="auto">auto</option>
              {columns.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
        )}
        <button type="button" disabled={JSON.stringify(draft) === JSON.stringify(load)} onClick={() => onLoad(draft)}>
          Read again
        </button>
      </div>
    </details>
  );
}
