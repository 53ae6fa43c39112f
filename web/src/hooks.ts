import { useCallback, useEffect, useRef, useState } from "react";
import { get, query, ServerProblem, stream } from "./api";
import type { Problem, Run, RunEvent } from "./types";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  again: () => void;
}

export const problemFrom = (error: unknown): Problem =>
  error instanceof ServerProblem
    ? error.problem
    : { title: "Unexpected", status: 0, detail: error instanceof Error ? error.message : String(error) };

/** Pause before what could not be reached is asked for again. */
const AGAIN_MS = 2000;

/** What lies at a path; asked again when the path or `version` changes. Old values stay until the new ones are there. */
export function useLoaded<T>(path: string | null, version: unknown = 0): Loaded<T> {
  const [state, setState] = useState<{ path: string | null; value: T | null; problem: Problem | null }>({
    path: null,
    value: null,
    problem: null,
  });
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const control = new AbortController();
    let timer = 0;
    get<T>(path, control.signal)
      .then((value) => setState({ path, value, problem: null }))
      .catch((error: unknown) => {
        if (control.signal.aborted) return;
        const problem = problemFrom(error);
        setState((old) => ({ path, value: old.path === path ? old.value : null, problem }));
        if (problem.status === 0) timer = window.setTimeout(() => setCount((old) => old + 1), AGAIN_MS);
      });
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [path, version, count]);
  const again = useCallback(() => setCount((old) => old + 1), []);
  const current = state.path === path;
  return { value: current ? state.value : null, problem: current ? state.problem : null, again };
}

export type Connection = "connecting" | "live" | "lost" | "ended";

export interface Followed {
  events: RunEvent[];
  connection: Connection;
  status: string | null;
}

/** Pause between looks at a run that waits for an answer: it may be given in another tab, or by a script. */
const WAITING_MS = 2500;

/** Resolves when a run at rest goes on: one that waits is asked after, any other when the page is looked at again. */
async function goneOn(run: string, last: number, status: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    await new Promise<void>((resolve) => {
      const done = () => {
        window.clearTimeout(timer);
        window.removeEventListener("focus", done);
        document.removeEventListener("visibilitychange", done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = status === "waiting" ? window.setTimeout(done, WAITING_MS) : 0;
      window.addEventListener("focus", done);
      document.addEventListener("visibilitychange", done);
      signal.addEventListener("abort", done);
    });
    if (signal.aborted) return;
    try {
      const seen = await get<Run>(`runs/${run}`, signal);
      if (seen.last_event > last || seen.status !== status) return;
    } catch {
      /* asked again at the next look */
    }
  }
}

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 8000;

/**
 * The events of a run: from the first, live, and after a broken connection from the last one that came (`Last-Event-ID`),
 * so that each is seen exactly once.
 */
export function useEvents(run: string, version: number): Followed {
  const [followed, setFollowed] = useState<Followed>({ events: [], connection: "connecting", status: null });
  const last = useRef(0);
  useEffect(() => {
    last.current = 0;
    setFollowed({ events: [], connection: "connecting", status: null });
  }, [run]);
  useEffect(() => {
    const control = new AbortController();
    let pending: RunEvent[] = [];
    let timer = 0;
    let pause = FIRST_PAUSE_MS;
    let wake: () => void = () => undefined;
    const flush = () => {
      timer = 0;
      const fresh = pending;
      pending = [];
      if (fresh.length) setFollowed((old) => ({ ...old, connection: "live", events: [...old.events, ...fresh] }));
    };
    const follow = async () => {
      for (;;) {
        let status: string | null | undefined;
        try {
          await stream(
            `runs/${run}/events?${query({ after: last.current })}`,
            { signal: control.signal, headers: last.current ? { "last-event-id": String(last.current) } : {} },
            ({ type, data }) => {
              pause = FIRST_PAUSE_MS;
              if (type === "end") {
                status = (JSON.parse(data) as { status: string | null }).status;
                return;
              }
              const event = JSON.parse(data) as RunEvent;
              if (event.seq <= last.current) return;
              last.current = event.seq;
              pending.push(event);
              if (!timer) timer = window.setTimeout(flush, 60);
            },
          );
        } catch (error) {
          if (control.signal.aborted) return;
          const gone = error instanceof ServerProblem && [401, 403, 404].includes(error.problem.status);
          if (gone) status = null;
        }
        if (control.signal.aborted) return;
        flush();
        if (status !== undefined) {
          const final = status;
          setFollowed((old) => ({ ...old, connection: "ended", status: final }));
          if (final === null) return;
          await goneOn(run, last.current, final, control.signal);
          if (control.signal.aborted) return;
          setFollowed((old) => ({ ...old, connection: "live", status: null }));
          continue;
        }
        setFollowed((old) => ({ ...old, connection: "lost" }));
        await new Promise<void>((resolve) => {
          wake = resolve;
          window.setTimeout(resolve, pause);
        });
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    };
    const online = () => wake();
    window.addEventListener("online", online);
    void follow();
    return () => {
      control.abort();
      window.clearTimeout(timer);
      window.removeEventListener("online", online);
    };
  }, [run, version]);
  return followed;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Nereus` : "Nereus";
  }, [title]);
}

/** Whether a media query holds now. */
export function useMedia(media: string): boolean {
  const [holds, setHolds] = useState(() => window.matchMedia(media).matches);
  useEffect(() => {
    const list = window.matchMedia(media);
    const change = () => setHolds(list.matches);
    change();
    list.addEventListener("change", change);
    return () => list.removeEventListener("change", change);
  }, [media]);
  return holds;
}
