/** Files that a run is given together, by what each is for, and how an address holds them. */

import { ended, ServerProblem, send } from "./api";
import { to } from "./route";
import type { Job } from "./types";

/** ``data``, ``samples``, ``cohort``, ``cohort_samples``, ``layer:<name>``; empty: to be found, or left out. */
export type Role = string;

export interface Understood {
  id: string;
  name: string;
  role: Role;
  why: string;
  problem: string;
}

/** Role by id of a data set. */
export type Given = Record<string, Role>;

/** What the server takes at once. */
export const MOST_FILES = 12;
const LAYER = "layer:";
const SINGLE = ["data", "samples", "cohort", "cohort_samples"];

export const CHOICES: [string, string][] = [
  ["data", "the data"],
  ["samples", "the sample sheet"],
  ["cohort", "a second cohort"],
  ["cohort_samples", "the cohort's sample sheet"],
  ["layer", "another layer of the same samples"],
];

/** The choice that a role belongs to. */
export const choiceOf = (role: Role) => (role.startsWith(LAYER) ? "layer" : role);

export const layerOf = (role: Role) => (role.startsWith(LAYER) ? role.slice(LAYER.length) : "");

/** A name that a layer can have, of what was typed. */
export const layerRole = (name: string): Role => {
  const plain = name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^[0-9_]+|_+$/g, "").slice(0, 30);
  return LAYER + (!plain || [...SINGLE, "first"].includes(plain) ? "second" : plain);
};

/** Roles when one file gets another: where the place was taken, both change places. */
export function exchanged(given: Given, id: string, role: Role): Given {
  const holder = SINGLE.includes(role) ? Object.keys(given).find((other) => other !== id && given[other] === role) : undefined;
  return { ...given, ...(holder ? { [holder]: given[id] ?? "" } : {}), [id]: role };
}

/** Where the data are understood, with the files beside them. */
export function addressOf(given: Given, question = ""): string {
  const values = new URLSearchParams();
  const layers = Object.entries(given).filter(([, role]) => role.startsWith(LAYER));
  for (const role of SINGLE.slice(1)) {
    const id = Object.keys(given).find((one) => given[one] === role);
    if (id) values.set(role, id);
  }
  for (const [id, role] of layers) values.set(role, id);
  for (const [id, role] of Object.entries(given)) if (!role) values.append("left", id);
  if (question) values.set("question", question);
  const data = Object.keys(given).find((one) => given[one] === "data") ?? "";
  const rest = values.toString();
  return to("data", data) + (rest ? `?${rest}` : "");
}

/** Files that an address names. */
export function givenBy(data: string, values: URLSearchParams): Given {
  const given: Given = { [data]: "data" };
  values.forEach((id, name) => {
    if (!/^d[0-9a-f]{16}$/.test(id) || id in given) return;
    if (name === "left") given[id] = "";
    else if (SINGLE.includes(name) || /^layer:[a-z][a-z0-9_]{0,30}$/.test(name)) given[id] = name;
  });
  return given;
}

/** The part of a request for a run that names its files. */
export function asked(given: Given): Record<string, unknown> {
  const of = (role: Role) => Object.keys(given).find((one) => given[one] === role) ?? null;
  const layers = Object.entries(given).filter(([, role]) => role.startsWith(LAYER));
  return {
    data: of("data"),
    samples: of("samples"),
    ...(of("cohort") ? { cohort: of("cohort"), cohort_samples: of("cohort_samples") } : {}),
    ...(layers.length ? { layers: Object.fromEntries(layers.map(([id, role]) => [layerOf(role), id])) } : {}),
  };
}

/** What each file is for: what was said stays, the rest is found by the server from their contents. */
export async function understood(given: Given, signal?: AbortSignal): Promise<Understood[]> {
  const files = Object.fromEntries(Object.entries(given).map(([id, role]) => [id, role || null]));
  const job = await ended(await send<Job>("datasets/roles", { files }), signal);
  return job.result.files ?? [];
}

export const alike = (name: string, other: string) =>
  new ServerProblem({
    title: "Equal files",
    status: 422,
    detail: `${name} and ${other} have the same content`,
    mend: "give one of them",
  });
