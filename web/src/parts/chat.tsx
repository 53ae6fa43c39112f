import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent, type RefObject } from "react";
import { api, upload } from "../api";
import { keep, kept, keyOf, useConversation, type Conversation, type Message, type Request } from "../conversation";
import { problemFrom, useLoaded } from "../hooks";
import { words } from "../format";
import { to } from "../route";
import type { Dataset, Json, Problem } from "../types";
import { Icon } from "./icons";
import { Markdown } from "./markdown";
import type { Look } from "./source";
import { Failure } from "./states";
import { written } from "./step";

const SUGGESTIONS = ["What did you find?", "Show me the volcano plot", "Is it still there without adjusting?", "What can you do?"];

/** Whether the server has conversations. */
export function useChat(): { available: boolean; unknown: boolean } {
  const threads = useLoaded<unknown[]>("threads?limit=1");
  return { available: threads.value !== null, unknown: threads.value === null && (threads.problem === null || threads.problem.status === 0) };
}

interface PanelProps {
  run: string;
  onLook: (look: Look) => void;
  onClose: () => void;
  over: boolean;
}

/** A conversation beside the run: answers cite its evidence, and may start new runs. */
export function ChatPanel({ run, onLook, onClose, over }: PanelProps) {
  const [thread, setThread] = useState<string | null>(() => kept(run));
  useEffect(() => {
    const other = (event: StorageEvent) => event.key === keyOf(run) && setThread(event.newValue);
    window.addEventListener("storage", other);
    return () => window.removeEventListener("storage", other);
  }, [run]);
  const change = (id: string | null) => {
    keep(run, id);
    setThread(id);
  };
  const talk = useConversation(thread, run, change);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    panel.current?.querySelector("textarea")?.focus({ preventScroll: true });
  }, []);
  return (
    <aside
      ref={panel}
      className={over ? "chat over" : "chat"}
      aria-label="Conversation"
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <header>
        <h2>Ask about it</h2>
        <span className="actions">
          {talk.messages.length > 0 && (
            <button type="button" className="quiet small" onClick={() => change(null)}>
              New
            </button>
          )}
          <button type="button" className="quiet icon" aria-label="Close the conversation" onClick={onClose}>
            <Icon name="close" size={16} />
          </button>
        </span>
      </header>
      <Talk
        talk={talk}
        run={run}
        onLook={onLook}
        suggestions={SUGGESTIONS}
        welcome="Answers come from this run's evidence. What is not there yet is computed by a new, small run."
        placeholder="Why is it up?"
      />
    </aside>
  );
}

interface TalkProps {
  talk: Conversation;
  /** The run that the page shows beside it; null where there is none. */
  run: string | null;
  onLook: (look: Look) => void;
  suggestions: string[];
  welcome: string;
  placeholder: string;
  files?: boolean;
}

/** What was said, what is being done, what must be approved, and where the next question is written. */
export function Talk({ talk, run, onLook, suggestions, welcome, placeholder, files = false }: TalkProps) {
  const end = useRef<HTMLDivElement>(null);
  /** Where the log was scrolled to by itself: who scrolled elsewhere reads there, and is left there. */
  const left = useRef(0);
  const field = useRef<HTMLTextAreaElement>(null);
  const began = useRef(false);
  const count = talk.messages.length;
  const shown = talk.draft?.text.length ?? 0;
  useEffect(() => {
    // An answer is read from its beginning: the question stands at the top, where the answer is longer than what is seen.
    const log = end.current?.parentElement;
    const questions = log?.querySelectorAll<HTMLElement>(".message.human");
    const question = questions?.[questions.length - 1];
    if (!log) return;
    const top = question ? question.getBoundingClientRect().top - log.getBoundingClientRect().top + log.scrollTop - 12 : log.scrollHeight;
    if (shown > 0 && Math.abs(log.scrollTop - left.current) > 4) return;
    log.scrollTo({ top });
    left.current = log.scrollTop;
  }, [count, shown, talk.now === null, talk.requests.length]);
  useEffect(() => {
    // A suggestion, a button to stop or an approval is gone with what it began: the next question is written.
    if (began.current && talk.now === null && document.activeElement === document.body) field.current?.focus({ preventScroll: true });
    began.current ||= talk.now !== null;
  }, [count, talk.now === null, talk.requests.length]);
  return (
    <>
      <div className="messages" role="log" aria-live="polite" aria-label="Messages" tabIndex={0}>
        {count === 0 && !talk.now && !talk.problem && (
          <div className="suggestions">
            <p className="muted">{welcome}</p>
            {suggestions.map((one) => (
              <button key={one} type="button" className="chip" onClick={() => void talk.say(one)}>
                {one}
              </button>
            ))}
          </div>
        )}
        {talk.messages.map((one) => (
          <Said key={one.seq} message={one} run={run} thread={talk.thread ?? ""} onLook={onLook} />
        ))}
        {talk.asked && (
          <div className="message human asked">
            <p>{talk.asked}</p>
          </div>
        )}
        {talk.draft && (
          // Read out when it is whole, as the message that takes its place.
          <div className="message ai draft" aria-live="off" aria-busy="true">
            <Markdown text={closed(talk.draft.text)} />
          </div>
        )}
        {talk.requests.length > 0 && <Requests key={count} requests={talk.requests} onAnswer={talk.answer} />}
        {talk.problem && <Failure problem={talk.problem} />}
        {talk.now && (
          <p className="muted working" role="status">
            <span className="spinner small" aria-hidden="true" /> <span className="working-text">{talk.now}</span>
            {talk.working && talk.working !== run && (
              <a className="quiet small" href={to("runs", talk.working, "plan")}>
                Watch
              </a>
            )}
            <button type="button" className="quiet small" onClick={talk.stop}>
              Stop
            </button>
          </p>
        )}
        <div ref={end} />
      </div>
      <Write field={field} talk={talk} placeholder={placeholder} files={files} />
    </>
  );
}

function Write({ field, talk, placeholder, files }: { field: RefObject<HTMLTextAreaElement | null>; talk: Conversation; placeholder: string; files: boolean }) {
  const [text, setText] = useState("");
  const [given, setGiven] = useState<Dataset[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [loading, setLoading] = useState(false);
  const busy = talk.now !== null || talk.requests.length > 0 || loading;
  const submit = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    const said = text.trim();
    if (!said || busy) return;
    setText("");
    const taken = given;
    setGiven([]);
    void talk.say(said, taken.map((one) => one.id)).then((ok) => {
      if (ok) return;
      setText((old) => old || said); // nothing that was written is lost
      setGiven((old) => (old.length ? old : taken));
    });
  };
  const attach = (list: FileList | null) => {
    setProblem(null);
    setLoading(true);
    Promise.all([...(list ?? [])].slice(0, 4).map((file) => upload(file, () => undefined)))
      .then((made) => setGiven((old) => [...old, ...made]))
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setLoading(false));
  };
  return (
    <form onSubmit={submit}>
      {problem && <Failure problem={problem} />}
      {given.length > 0 && (
        <ul className="chips given" aria-label="Files">
          {given.map((one) => (
            <li key={one.id}>
              <button type="button" className="chip" aria-label={`Leave out ${one.name}`} onClick={() => setGiven(given.filter((other) => other !== one))}>
                <Icon name="file" size={14} /> {one.name} <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="write">
        {files && (
          <label className="button icon quiet" title="Give files">
            <Icon name={loading ? "upload" : "plus"} size={18} />
            <span className="sr">Give files</span>
            <input
              type="file"
              multiple
              className="sr"
              onChange={(event) => {
                attach(event.target.files);
                event.target.value = "";
              }}
            />
          </label>
        )}
        <textarea
          ref={field}
          rows={1}
          value={text}
          aria-label="Your question"
          placeholder={placeholder}
          maxLength={20000}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) submit(event);
          }}
        />
        <button type="submit" className="primary icon" aria-label="Send" disabled={busy || !text.trim()}>
          <Icon name="send" size={16} />
        </button>
      </div>
    </form>
  );
}

/** Bold words and code that are still being written end where the text ends. */
const closed = (text: string) =>
  ["**", "`"].reduce((shown, mark) => (shown.slice(shown.lastIndexOf("\n") + 1).split(mark).length % 2 ? shown : shown + mark), text);

const SOURCES_SHOWN = 8;

function Said({ message, run, thread, onLook }: { message: Message; run: string | null; thread: string; onLook: (look: Look) => void }) {
  const [all, setAll] = useState(false);
  const shown = all ? message.evidence : message.evidence.slice(0, SOURCES_SHOWN);
  return (
    <div className={`message ${message.role}`}>
      {message.role === "human" ? <p>{message.content}</p> : <Markdown text={message.content} />}
      {message.artifacts
        .filter((one) => one.kind === "figure")
        .map((one) => (
          <div key={one.id} className="drawn">
            <img src={api(`threads/${encodeURIComponent(thread)}/artifacts/${encodeURIComponent(one.id)}`)} alt={one.title} loading="lazy" />
          </div>
        ))}
      {shown.length > 0 && (
        <ul className="chips" aria-label="Evidence">
          {shown.map((one) => (
            <li key={`${one.run_id} ${one.id}`}>
              <button
                type="button"
                className="chip"
                title={`${one.label}${one.run_id === run ? "" : `, of run ${one.run_id}`}`}
                onClick={() => onLook({ source: one.id, run: one.run_id })}
              >
                {/^E\d+$/.test(one.id) ? one.id : one.label}
              </button>
            </li>
          ))}
          {message.evidence.length > shown.length && (
            <li>
              <button type="button" className="chip quiet" onClick={() => setAll(true)}>
                and {message.evidence.length - shown.length} more
              </button>
            </li>
          )}
        </ul>
      )}
      {message.role === "ai" && message.run && message.run !== run && (
        <p>
          <a href={to("runs", message.run)}>The run behind this answer</a>
        </p>
      )}
      {message.notices.map((one) => (
        <p key={one} className="muted small-text">
          {one}
        </p>
      ))}
    </div>
  );
}

/** What must be approved before it is done: one answer for each request, in order. */
function Requests({ requests, onAnswer }: { requests: Request[]; onAnswer: (answers: Json[]) => void }) {
  const [edited, setEdited] = useState<Record<string, Json>[]>(() => requests.map((one) => ({ ...one.action_request.args })));
  const [skipped, setSkipped] = useState<boolean[]>(() => requests.map(() => false));
  return (
    <section className="request" aria-label="Approval">
      {requests.map((one, place) => (
        <div key={place}>
          <label className="check">
            <input
              type="checkbox"
              checked={!skipped[place]}
              onChange={(event) => setSkipped(skipped.map((old, at) => (at === place ? !event.target.checked : old)))}
            />
            <span>
              <strong>{words(one.action_request.action)}</strong> {one.description}
            </span>
          </label>
          <details>
            <summary>With</summary>
            {Object.entries(edited[place] ?? {}).map(([name, value]) =>
              typeof value === "string" ? (
                <label key={name}>
                  {words(name)}
                  <input
                    type="text"
                    value={value}
                    onChange={(event) => setEdited(edited.map((old, at) => (at === place ? { ...old, [name]: event.target.value } : old)))}
                  />
                </label>
              ) : (
                <p key={name} className="muted small-text">
                  {words(name)}: {written(value)}
                </p>
              ),
            )}
          </details>
        </div>
      ))}
      <div className="actions">
        <button
          type="button"
          className="primary"
          onClick={() =>
            onAnswer(
              requests.map((one, place): Json => {
                if (skipped[place]) return { type: "ignore", args: null };
                const args = edited[place] ?? {};
                return JSON.stringify(args) === JSON.stringify(one.action_request.args)
                  ? { type: "accept", args: null }
                  : { type: "edit", args: { action: one.action_request.action, args } };
              }),
            )
          }
        >
          {skipped.every(Boolean) ? "Do none of it" : "Go on"}
        </button>
        <button type="button" onClick={() => onAnswer(requests.map((): Json => ({ type: "ignore", args: null })))}>
          No
        </button>
      </div>
    </section>
  );
}
