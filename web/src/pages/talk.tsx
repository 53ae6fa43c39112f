import { useState } from "react";
import { send } from "../api";
import { useConversation } from "../conversation";
import { when } from "../format";
import { problemFrom, useLoaded, useTitle } from "../hooks";
import { Talk, useChat } from "../parts/chat";
import { Icon } from "../parts/icons";
import { lookOf, lookQuery, SourceSheet } from "../parts/source";
import { Badge, Empty, Failure, Loading } from "../parts/states";
import { back, go, to } from "../route";
import type { Problem, Session } from "../types";

interface Thread {
  id: string;
  title: string;
  status: string;
  updated_at: string;
}

const SUGGESTIONS = ["What can you do?", "Which runs are there?", "List methods", "Draw CC(=O)Oc1ccccc1C(=O)O"];

/** Conversations that belong to no run yet: files are given, runs are begun, molecules are drawn. */
export function TalkPage({ thread, values, session }: { thread: string | null; values: URLSearchParams; session: Session }) {
  useTitle("Ask");
  const { available, unknown } = useChat();
  const [said, setSaid] = useState(0);
  const [problem, setProblem] = useState<Problem | null>(null);
  const threads = useLoaded<Thread[]>("threads?limit=100", `${thread ?? ""} ${said}`);
  const talk = useConversation(thread, null, (id) => go(id ? to("talk", id) : to("talk")));
  const look = lookOf(values);
  const place = thread ? to("talk", thread) : to("talk");
  const forget = (id: string) =>
    send(`threads/${id}`, undefined, "DELETE")
      .then(() => {
        if (id === thread) go(to("talk"));
        setSaid((old) => old + 1);
      })
      .catch((error: unknown) => setProblem(problemFrom(error)));
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Ask</h1>
          <p className="muted">
            {session.asks
              ? `Answered with the language model at ${session.asks}; numbers come from evidence alone.`
              : "Answered by rules from evidence, without a language model; what is not understood is said."}
          </p>
        </div>
      </div>
      {problem && <Failure problem={problem} />}
      <div className="talk">
        <nav className="talk-list" aria-label="Conversations">
          <a className="button" href={to("talk")} aria-current={thread === null ? "page" : undefined}>
            <Icon name="plus" size={16} /> New conversation
          </a>
          <ul>
            {(threads.value ?? [])
              .filter((one) => one.title || one.id === thread)
              .map((one) => (
                <li key={one.id}>
                  <a href={to("talk", one.id)} aria-current={one.id === thread ? "page" : undefined}>
                    <span className="talk-title">{one.title || "New conversation"}</span>
                    <span className="muted small-text">
                      {when(one.updated_at)} {one.status === "interrupted" && <Badge status="waiting">asks</Badge>}
                    </span>
                  </a>
                  <button type="button" className="quiet icon" aria-label={`Forget ${one.title || one.id}`} onClick={() => void forget(one.id)}>
                    <Icon name="trash" size={15} />
                  </button>
                </li>
              ))}
          </ul>
        </nav>
        <section className="chat page" aria-label="Conversation">
          {available ? (
            <Talk
              talk={{ ...talk, say: (text, datasets) => talk.say(text, datasets).finally(() => setSaid((old) => old + 1)) }}
              run={null}
              onLook={(next) => go(`${place}?${lookQuery(next)}`)}
              suggestions={SUGGESTIONS}
              welcome="Give a file and say what you want to know, ask about a run, or have a molecule drawn."
              placeholder="Analyse this file: what differs in treated cells?"
              files
            />
          ) : unknown ? (
            <Loading what="Conversations" />
          ) : (
            <Empty title="This server has no conversations" />
          )}
        </section>
      </div>
      {look?.run && <SourceSheet key={JSON.stringify(look)} run="" plan={null} look={look} onClose={() => back(place)} />}
    </>
  );
}
