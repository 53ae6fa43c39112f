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

export interface Conversation {
  thread: string | null;
  messages: Message[];
  /** What is being done now; null where nothing is. */
  now: string | null;
  requests: Request[];
  problem: Problem | null;
  say: (text: string) => void;
  answer: (answers: Json[]) => void;
  stop: () => void;
  fresh: () => void;
}

interface State {
  messages: Message[];
  now: string | null;
  requests: Request[];
  problem: Problem | null;
}

const EMPTY: State = { messages: [], now: null, requests: [], problem: null };
const PAUSE_MS = 800;
const TRIES = 40;

const keyOf = (run: string) => `nereus.thread.${run}`;

function kept(run: string): string | null {
  try {
    return window.localStorage.getItem(keyOf(run));
  } catch {
    return null;
  }
}

function keep(run: string, thread: string | null): void {
  try {
    if (thread) window.localStorage.setItem(keyOf(run), thread);
    else window.localStorage.removeItem(keyOf(run));
  } catch {
    /* it is forgotten with the page */
  }
}

export function useConversation(run: string): Conversation {
  const [thread, setThread] = useState<string | null>(() => kept(run));
  const [state, setState] = useState<State>(EMPTY);
  const last = useRef(0);
  const control = useRef(new AbortController());

  const take = useCallback((event: ThreadEvent) => {
    if (event.seq <= last.current) return;
    last.current = event.seq;
    setState((old) => folded(old, event));
  }, []);

  /** Ask, and go on reading where a broken connection left. */
  const follow = useCallback(
    async (id: string, body: Json | null, verb: "messages" | "approvals") => {
      const signal = control.current.signal;
      let given = body;
      for (let tries = 0; tries < TRIES; tries += 1) {
        let ended = false;
        try {
          const init =
            given === null
              ? { signal }
              : { signal, method: "POST", body: JSON.stringify(given), headers: { "content-type": "application/json" } };
          const path = given === null ? `threads/${id}/messages?${query({ after: last.current })}` : `threads/${id}/${verb}`;
          await stream(path, init, ({ data }) => {
            given = null; // it was taken in: from here on only what comes is read
            const event = JSON.parse(data) as ThreadEvent;
            take(event);
            if (event.type === "end") ended = true;
          });
          if (ended || given === null) break;
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof ServerProblem && error.problem.status > 0) {
            setState((old) => ({ ...old, now: null, problem: error.problem }));
            return;
          }
        }
        setState((old) => ({ ...old, now: "connection lost, trying again" }));
        await new Promise((resolve) => window.setTimeout(resolve, PAUSE_MS));
      }
      setState((old) => ({ ...old, now: null }));
    },
    [take],
  );

  useEffect(() => {
    const own = new AbortController();
    control.current = own;
    last.current = 0;
    setState(EMPTY);
    const id = kept(run);
    setThread(id);
    if (id) {
      get<ThreadEvent[]>(`threads/${id}/messages`, own.signal)
        .then((events) => {
          events.forEach(take);
          if (events.length && events[events.length - 1]?.type !== "end") void follow(id, null, "messages");
        })
        .catch((error: unknown) => {
          if (!own.signal.aborted && error instanceof ServerProblem && error.problem.status === 404) {
            keep(run, null);
            setThread(null);
          }
        });
    }
    return () => own.abort();
  }, [run, take, follow]);

  const say = (text: string) => {
    setState((old) => ({ ...old, problem: null, now: "reads the question" }));
    const begun = thread
      ? Promise.resolve({ id: thread, first: last.current === 0 })
      : send<{ id: string }>("threads", { title: text.slice(0, 80) }).then(({ id }) => {
          keep(run, id);
          setThread(id);
          return { id, first: true };
        });
    begun
      .then(({ id, first }) => follow(id, { text, ...(first ? { run } : {}) }, "messages"))
      .catch((error: unknown) => setState((old) => ({ ...old, now: null, problem: problemFrom(error) })));
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
    fresh: () => {
      control.current.abort();
      control.current = new AbortController();
      keep(run, null);
      setThread(null);
      last.current = 0;
      setState(EMPTY);
    },
  };
}

function folded(old: State, { seq, type, payload }: ThreadEvent): State {
  switch (type) {
    case "message": {
      if (payload.role === "tool" || (payload.role === "ai" && !payload.content)) return old;
      const nereus = (payload.nereus ?? {}) as Record<string, Json>;
      const message: Message = {
        seq,
        role: payload.role === "human" ? "human" : "ai",
        content: String(payload.content ?? ""),
        run: String(nereus.run_id ?? ""),
        evidence: (nereus.evidence ?? []) as unknown as Cited[],
        artifacts: (nereus.artifacts ?? []) as unknown as Message["artifacts"],
        notices: (nereus.notices ?? []) as string[],
      };
      return { ...old, messages: [...old.messages, message] };
    }
    case "approval":
      return { ...old, requests: (payload.requests ?? []) as unknown as Request[] };
    case "approval_given":
      return { ...old, requests: [] };
    case "error":
      return {
        ...old,
        problem: {
          title: "It could not be answered",
          status: 0,
          detail: String(payload.what ?? ""),
          ...(payload.where ? { where: String(payload.where) } : {}),
          ...(payload.mend ? { mend: String(payload.mend) } : {}),
        },
      };
    case "end":
      return { ...old, now: null };
    default:
      return { ...old, now: String(payload.text ?? "") || old.now };
  }
}
