import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { api } from "../api";
import { useConversation, type Conversation, type Message, type Request } from "../conversation";
import { useLoaded } from "../hooks";
import { words } from "../format";
import { to } from "../route";
import type { Json } from "../types";
import { Icon } from "./icons";
import { Markdown } from "./markdown";
import type { Look } from "./source";
import { Failure } from "./states";
import { written } from "./step";

const SUGGESTIONS = ["What did you find?", "Show me the volcano plot", "Is it still there without adjusting?", "What can you do?"];

/** Whether the server has conversations. */
export function useChat(): { available: boolean } {
  const threads = useLoaded<unknown[]>("threads?limit=1");
  return { available: threads.value !== null };
}

interface Props {
  run: string;
  onLook: (look: Look) => void;
  onClose: () => void;
  over: boolean;
}

/** A conversation beside the run: answers cite its evidence, and may start new runs. */
export function ChatPanel({ run, onLook, onClose, over }: Props) {
  const talk = useConversation(run);
  const end = useRef<HTMLDivElement>(null);
  const count = talk.messages.length;
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [count, talk.now, talk.requests.length]);
  return (
    <aside className={over ? "chat over" : "chat"} aria-label="Conversation">
      <header>
        <h2>Ask about it</h2>
        <span className="actions">
          {count > 0 && (
            <button type="button" className="quiet small" onClick={talk.fresh}>
              New
            </button>
          )}
          <button type="button" className="quiet icon" aria-label="Close the conversation" onClick={onClose}>
            <Icon name="close" size={16} />
          </button>
        </span>
      </header>
      <div className="messages" role="log" aria-live="polite" aria-label="Messages" tabIndex={0}>
        {count === 0 && !talk.now && (
          <div className="suggestions">
            <p className="muted">Answers come from this run's evidence. What is not there yet is computed by a new, small run.</p>
            {SUGGESTIONS.map((one) => (
              <button key={one} type="button" className="chip" onClick={() => talk.say(one)}>
                {one}
              </button>
            ))}
          </div>
        )}
        {talk.messages.map((one) => (
          <Said key={one.seq} message={one} run={run} thread={talk.thread ?? ""} onLook={onLook} />
        ))}
        {talk.requests.length > 0 && <Requests key={count} requests={talk.requests} onAnswer={talk.answer} />}
        {talk.problem && <Failure problem={talk.problem} />}
        {talk.now && (
          <p className="muted working" role="status">
            <span className="spinner small" aria-hidden="true" /> {talk.now}
            <button type="button" className="quiet small" onClick={talk.stop}>
              Stop
            </button>
          </p>
        )}
        <div ref={end} />
      </div>
      <Write talk={talk} />
    </aside>
  );
}

function Write({ talk }: { talk: Conversation }) {
  const [text, setText] = useState("");
  const busy = talk.now !== null || talk.requests.length > 0;
  const submit = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!text.trim() || busy) return;
    talk.say(text.trim());
    setText("");
  };
  return (
    <form onSubmit={submit}>
      <textarea
        rows={1}
        value={text}
        aria-label="Your question"
        placeholder="Why is it up?"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey) submit(event);
        }}
      />
      <button type="submit" className="primary icon" aria-label="Send" disabled={busy || !text.trim()}>
        <Icon name="send" size={16} />
      </button>
    </form>
  );
}

const SOURCES_SHOWN = 8;

function Said({ message, run, thread, onLook }: { message: Message; run: string; thread: string; onLook: (look: Look) => void }) {
  const own = message.evidence.filter((one) => one.run_id === run);
  return (
    <div className={`message ${message.role}`}>
      {message.role === "human" ? <p>{message.content}</p> : <Markdown text={message.content} />}
      {message.artifacts
        .filter((one) => one.kind === "figure")
        .map((one) => (
          <div key={one.id} className="drawn">
            <img src={api(`threads/${thread}/artifacts/${one.id}`)} alt={one.title} loading="lazy" />
          </div>
        ))}
      {own.length > 0 && (
        <ul className="chips" aria-label="Evidence">
          {own.slice(0, SOURCES_SHOWN).map((one) => (
            <li key={one.id}>
              <button type="button" className="chip" title={one.label} onClick={() => onLook({ source: one.id })}>
                {/^E\d+$/.test(one.id) ? one.id : one.label}
              </button>
            </li>
          ))}
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
