/** One conversation about a run: what was said, and what is being answered; it survives reloads and broken connections. */

import { useCallback, useEffect, useRef, useState } from "react";
import { get, query, send, ServerProblem, stream } from "./api";
import { problemFrom } from "./hooks";
import type { Json, Problem, Scalar } from "./types";

export interface Cited {
  run_id: string;
  id: string;
  label: string;
  value: Scalar;
}

export interface Message {
  seq: number;
  id: string;
  role: "human" | "ai";
  content: string;
  run: string;
  evidence: Cited[];
  artifacts: { id: string; kind: string; title: string; run_id: string }[];
  notices: string[];
}

export interface Request {
  action_request: { action: string; args: Record<string, Json> };
  description: string;
}

interface ThreadEvent {
  seq: number;
  type: string;
  payload: Record<string, Json>;
}

/** What is shown of an answer while it is written: checked words only, replaced by the whole answer. */
export interface Draft {
  id: string;
  text: string;
}

export interface Conversation {
  thread: string | null;
  messages: Message[];
  draft: Draft | null;
  /** What was asked and has not arrived yet. */
  asked: string | null;
  /** What is being done now; null where nothing is. */
  now: string | null;
  /** The run that is at work for the answer. */
  working: string | null;
  requests: Request[];
  problem: Problem | null;
  /** Resolves to whether it was taken in. */
  say: (text: string, datasets?: string[]) => Promise<boolean>;
  answer: (answers: Json[]) => void;
  stop: () => void;
}

interface State {
  messages: Message[];
  draft: Draft | null;
  asked: string | null;
  now: string | null;
  working: string | null;
  requests: Request[];
  problem: Problem | null;
}

const EMPTY: State = { messages: [], draft: null, asked: null, now: null, working: null, requests: [], problem: null };
const UNREACHED: Problem = {
  title: "No connection",
  status: 0,
  detail: "the server cannot be reached",
  mend: "look whether `nereus serve` is running; what it answered meanwhile is shown as soon as this page reaches it",
};
const PART = "answer_part";
const PAUSE_MS = 800;
const TRIES = 40;

/** Begins with `nereus.thread.`: the conversation of each run, shared by the tabs of this browser. */
export const keyOf = (run: string) => `nereus.thread.${run}`;

export function kept(run: string): string | null {
  try {
    return window.localStorage.getItem(keyOf(run));
  } catch {
    return null;
  }
}

export function keep(run: string, thread: string | null): void {
  try {
    if (thread) window.localStorage.setItem(keyOf(run), thread);
    else window.localStorage.removeItem(keyOf(run));
  } catch {
    /* it is forgotten with the page */
  }
}

/**
 * A conversation, about a run or about nothing yet.
 *
 * `onThread` is told the id of a conversation that begins with the first question, and null where the given one is gone.
 */
export function useConversation(thread: string | null, run: string | null, onThread: (thread: string | null) => void): Conversation {
  const [state, setState] = useState<State>(EMPTY);
  const last = useRef(0);
  const control = useRef(new AbortController());
  const current = useRef<string | null>(null);
  const following = useRef(false);
  const told = useRef(onThread);
  told.current = onThread;

  const take = useCallback((event: ThreadEvent) => {
    if (event.type === PART) {
      setState((old) => grown(old, event.payload)); // it has no number: it is kept nowhere
      return;
    }
    if (event.seq <= last.current) return;
    last.current = event.seq;
    setState((old) => folded(old, event));
  }, []);

  /** Ask, and go on reading where a broken connection left; whether what was said was taken in. */
  const follow = useCallback(
    async (id: string, body: Json | null, verb: "messages" | "approvals"): Promise<boolean> => {
      const signal = control.current.signal;
      let given = body;
      following.current = true;
      try {
        for (let tries = 0; tries < TRIES; tries += 1) {
          try {
            if (tries > 0 && given !== null) {
              // Whether it had arrived when the line broke: then it is not said twice.
              const missed = await get<ThreadEvent[]>(`threads/${id}/messages?${query({ after: last.current })}`, signal);
              missed.forEach(take);
              if (missed.length) given = null;
            }
            const init =
              given === null
                ? { signal }
                : { signal, method: "POST", body: JSON.stringify(given), headers: { "content-type": "application/json" } };
            const path = given === null ? `threads/${id}/messages?${query({ after: last.current })}` : `threads/${id}/${verb}`;
            await stream(path, init, ({ data }) => {
              given = null; // it was taken in: from here on only what comes is read
              take(JSON.parse(data) as ThreadEvent);
            });
            // A stream is whole when it closes by itself: the answer has ended, and the next question is taken.
            if (given === null) return true;
          } catch (error) {
            if (signal.aborted) return true;
            if (error instanceof ServerProblem && error.problem.status > 0) {
              setState((old) => ({ ...old, problem: error.problem }));
              return given === null;
            }
          }
          setState((old) => ({ ...old, now: "connection lost, trying again" }));
          await new Promise((resolve) => window.setTimeout(resolve, PAUSE_MS));
          if (signal.aborted) return true;
        }
        setState((old) => ({ ...old, problem: UNREACHED }));
        return given === null;
      } finally {
        if (!signal.aborted) {
          following.current = false;
          setState((old) => ({ ...old, draft: null, now: null, working: null }));
        }
      }
    },
    [take],
  );

  /** What was said meanwhile, in another tab or by a script; goes on with an answer that is being written. */
  const catchUp = useCallback(
    async (id: string) => {
      const events = await get<ThreadEvent[]>(`threads/${id}/messages?${query({ after: last.current })}`, control.current.signal);
      events.forEach(take);
      const open = events.length > 0 && events[events.length - 1]?.type !== "end";
      if (open) void follow(id, null, "messages");
      else setState((old) => ({ ...old, now: null, working: null }));
      return open;
    },
    [take, follow],
  );

  useEffect(() => {
    if (thread !== null && thread === current.current) return; // it began here a moment ago
    control.current.abort();
    const own = new AbortController();
    control.current = own;
    current.current = thread;
    following.current = false;
    last.current = 0;
    setState(thread ? { ...EMPTY, now: "reads what was said" } : EMPTY);
    if (!thread) return;
    catchUp(thread).catch((error: unknown) => {
      if (own.signal.aborted) return;
      const problem = problemFrom(error);
      if (problem.status === 404) told.current(null);
      setState((old) => ({ ...old, now: null, problem: problem.status === 404 ? null : problem }));
    });
  }, [thread, catchUp]);

  useEffect(() => {
    const look = () => {
      const id = current.current;
      if (id && !following.current && !document.hidden) void catchUp(id).catch(() => undefined);
    };
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [catchUp]);

  useEffect(
    () => () => {
      control.current.abort();
      current.current = null;
    },
    [],
  );

  const say = async (text: string, datasets: string[] = []): Promise<boolean> => {
    setState((old) => ({ ...old, asked: text, problem: null, now: "reads the question" }));
    following.current = true;
    try {
      let id = current.current;
      if (id) {
        if (await catchUp(id)) return false;
        setState((old) => ({ ...old, now: "reads the question" }));
      } else {
        id = (await send<{ id: string }>("threads", {})).id;
        current.current = id;
        told.current(id);
      }
      return await follow(id, { text, ...(datasets.length ? { datasets } : {}), ...(run && last.current === 0 ? { run } : {}) }, "messages");
    } catch (error) {
      setState((old) => ({ ...old, now: null, problem: problemFrom(error) }));
      return false;
    } finally {
      following.current = false;
      setState((old) => ({ ...old, asked: null }));
    }
  };
  return {
    thread,
    ...state,
    say,
    answer: (answers) => {
      if (!thread) return;
      setState((old) => ({ ...old, requests: [], problem: null, now: "goes on" }));
      void follow(thread, { answers }, "approvals");
    },
    stop: () => {
      if (thread) void send(`threads/${thread}/cancel`).catch(() => undefined);
    },
  };
}

/** A part of an answer laid where it belongs: `start` counts characters as the server does, not units of UTF-16. */
function grown(old: State, payload: Record<string, Json>): State {
  const id = String(payload.id ?? "");
  if (old.messages.some((one) => one.id === id)) return old; // the whole answer is here already
  const start = Number(payload.start ?? 0);
  const before = old.draft?.id === id ? [...old.draft.text].slice(0, start).join("") : "";
  const text = before + String(payload.text ?? "");
  return { ...old, draft: text ? { id, text } : null, now: text ? "writes the answer" : "looks something up" };
}

function folded(old: State, { seq, type, payload }: ThreadEvent): State {
  switch (type) {
    case "message": {
      if (payload.role === "tool" || (payload.role === "ai" && !payload.content)) return old;
      const nereus = (payload.nereus ?? {}) as Record<string, Json>;
      const message: Message = {
        seq,
        id: String(payload.id ?? ""),
        role: payload.role === "human" ? "human" : "ai",
        content: String(payload.content ?? ""),
        run: String(nereus.run_id ?? ""),
        evidence: (nereus.evidence ?? []) as unknown as Cited[],
        artifacts: (nereus.artifacts ?? []) as unknown as Message["artifacts"],
        notices: (nereus.notices ?? []) as string[],
      };
      const over = message.role === "ai" ? { draft: null } : { asked: null };
      return { ...old, ...over, messages: [...old.messages, message] };
    }
    case "approval":
      return { ...old, draft: null, requests: (payload.requests ?? []) as unknown as Request[] };
    case "approval_given":
      return { ...old, requests: [] };
    case "error":
      return {
        ...old,
        draft: null,
        problem: {
          title: "It could not be answered",
          status: 0,
          detail: String(payload.what ?? ""),
          ...(payload.where ? { where: String(payload.where) } : {}),
          ...(payload.mend ? { mend: String(payload.mend) } : {}),
        },
      };
    case "end":
      return old; // the stream closes when the next question is taken
    default:
      return { ...old, now: String(payload.text ?? "") || old.now, working: payload.run_id ? String(payload.run_id) : old.working };
  }
}
