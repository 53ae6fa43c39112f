/** Requests to the server that the page came from, and its streams. Nothing else is ever asked. */

import { events, type ServerEvent } from "./sse";
import type { Dataset, Job, Problem } from "./types";

/** An error as the server tells it: what was wrong, where, and what to do. */
export class ServerProblem extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export const api = (path: string) => new URL(`api/${path}`, document.baseURI).toString();

/** Clocks that differ by less are equal: a date of a header has whole seconds, and the answer took its time. */
const SAME_MS = 2500;

/** How far the clock of this browser is ahead of the server's, as its last answer told; times of runs are the server's. */
let ahead_ms = 0;
export const serverNow = () => Date.now() - ahead_ms;

let onUnauthorised: () => void = () => undefined;
export const whenUnauthorised = (call: () => void) => {
  onUnauthorised = call;
};

/** Whether the last request got an answer. */
let reached = true;
const listeners = new Set<() => void>();
const LOOK_MS = 2000;

function tell(now: boolean): void {
  if (now === reached) return;
  reached = now;
  listeners.forEach((call) => call());
  if (!now) window.setTimeout(look, LOOK_MS);
}

/** Until the server answers, whatever it answers. */
function look(): void {
  if (reached) return;
  fetch(api("session"), { credentials: "same-origin" })
    .then(() => tell(true))
    .catch(() => window.setTimeout(look, LOOK_MS));
}

export const isReached = () => reached;
export const whenReached = (call: () => void) => {
  listeners.add(call);
  return () => void listeners.delete(call);
};

async function problemOf(answer: Response): Promise<ServerProblem> {
  let told: Partial<Problem> = {};
  try {
    told = (await answer.json()) as Partial<Problem>;
  } catch {
    told = {};
  }
  return new ServerProblem({
    title: told.title ?? answer.statusText,
    status: answer.status,
    detail: told.detail ?? `the server answered ${answer.status}`,
    ...(told.where ? { where: told.where } : {}),
    ...(told.mend ? { mend: told.mend } : {}),
  });
}

async function asked(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(api(path), { credentials: "same-origin", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    tell(false);
    throw new ServerProblem({
      title: "No connection",
      status: 0,
      detail: "the server cannot be reached",
      mend: "look whether `nereus serve` is running; the page goes on by itself",
    });
  }
  tell(true);
  const told = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(told)) ahead_ms = Math.abs(Date.now() - told) < SAME_MS ? 0 : Date.now() - told;
  if (answer.status === 401) onUnauthorised();
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await asked(path, signal ? { signal } : {});
  return (await answer.json()) as T;
}

/** Whether there is something at a path; it is not read. */
export async function exists(path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await (await asked(path, { signal })).body?.cancel();
    return true;
  } catch (error) {
    if (error instanceof ServerProblem && error.problem.status === 404) return false;
    throw error;
  }
}

export async function send<T>(path: string, body?: unknown, method = "POST"): Promise<T> {
  const answer = await asked(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export async function signIn(token: string): Promise<void> {
  await asked("session", { method: "POST", headers: { authorization: `Bearer ${token}` } });
}

/** Upload a file; XMLHttpRequest, since fetch tells nothing of how far it is. */
export function upload(file: File, onShare: (share: number) => void): Promise<Dataset> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", api("datasets"));
    request.upload.onprogress = (event) => event.lengthComputable && onShare(event.loaded / event.total);
    request.onerror = () =>
      reject(
        new ServerProblem({
          title: "No connection",
          status: 0,
          detail: "the upload was cut off before the server had the whole file",
          mend: "look whether `nereus serve` is running and whether the file is still where it was, and try again",
        }),
      );
    request.onload = () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText) as Dataset);
      else {
        if (request.status === 401) onUnauthorised();
        void problemOf(new Response(request.responseText, { status: request.status })).then(reject);
      }
    };
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

/** A job at its end; its error is thrown as a problem. */
export async function ended(job: Job, signal?: AbortSignal): Promise<Job> {
  let seen = job;
  while (seen.status === "queued" || seen.status === "running") seen = await get<Job>(`jobs/${seen.id}?wait=20`, signal);
  const error = seen.result.error;
  if (error) {
    throw new ServerProblem({
      title: "It could not be done",
      status: 422,
      detail: error.what,
      ...(error.where ? { where: error.where } : {}),
      ...(error.mend ? { mend: error.mend } : {}),
    });
  }
  return seen;
}

/** A stream of server-sent events, for as long as the signal lets it. */
export async function stream(
  path: string,
  init: RequestInit & { signal: AbortSignal },
  onEvent: (event: ServerEvent) => void,
): Promise<void> {
  const answer = await asked(path, { ...init, headers: { accept: "text/event-stream", ...init.headers } });
  if (answer.body) await events(answer.body, onEvent);
}

export const query = (values: Record<string, string | number | boolean | undefined | null>) =>
  Object.entries(values)
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join("&");

/** A limit of the server, before a file is sent for nothing. */
export function tooLarge(file: File, most: number): ServerProblem | null {
  if (file.size === 0) return new ServerProblem({ title: "Empty file", status: 422, detail: `${file.name} is empty`, mend: "give a file with a table in it" });
  if (file.size <= most) return null;
  const [has, may] = [file.size, most].map((one) => `${(one / 2 ** 20).toFixed(0)} MiB`);
  return new ServerProblem({
    title: "Too large",
    status: 413,
    detail: `${file.name} has ${has}; this server takes files of up to ${may}`,
    mend: "leave out columns that are not needed or compress it (.gz), or raise NEREUS_SERVE_UPLOAD_MB",
  });
}

export const artifactPath = (run: string, step: string, name: string) =>
  `runs/${run}/artifacts/${encodeURIComponent(step)}/${encodeURIComponent(name)}`;

export const figurePath = (run: string, step: string, name: string) =>
  `runs/${run}/figures/${encodeURIComponent(step)}/${encodeURIComponent(name)}`;

export const tablePath = (run: string, step: string, name: string) =>
  `runs/${run}/tables/${encodeURIComponent(step)}/${encodeURIComponent(name)}`;
