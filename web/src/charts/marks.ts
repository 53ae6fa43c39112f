/** What all charts of figures share: marks that tell who they are, and names that are not too long. */

import type { Json } from "../types";

export interface Mark {
  data: { value: (number | string | null)[]; key?: string; name?: string; q?: number | null };
}

export const clipped = (text: string, most = 40) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export const grid = { left: 58, right: 18, top: 44, bottom: 48 };

/** Smallest and largest, of lists too long to be spread into a call. */
export function reach(values: (number | null)[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const one of values) {
    if (one === null) continue;
    if (one < low) low = one;
    if (one > high) high = one;
  }
  return low <= high ? [low, high] : [0, 1];
}

export interface Contrast {
  factor: string;
  a: string;
  b: string;
}

export function contrastOf(params: Record<string, Json>): Contrast | null {
  const given = params.contrast;
  if (typeof given !== "object" || given === null || Array.isArray(given)) return null;
  return typeof given.a === "string" && typeof given.b === "string" ? { factor: String(given.factor ?? ""), a: given.a, b: given.b } : null;
}

export const textOf = (value: Json | undefined): string => (typeof value === "string" ? value.replace(/^[_\s]+|[_\s]+$/g, "") : "");

/** A place from -0.5 to 0.5 that is the same at every look: points of a group beside each other. */
export const spread = (row: number) => ((((row * 2654435761) % 1000) + 1000) % 1000) / 1000 - 0.5;
