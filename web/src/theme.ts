/** Light, dark, or as the system says. */

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "nereus.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function theme(): Theme {
  try {
    const kept = window.localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  listeners.forEach((call) => call());
}

export function setTheme(next: Theme): void {
  try {
    window.localStorage.setItem(KEY, next);
  } catch {
    /* it holds for this visit */
  }
  document.documentElement.dataset.theme = next === "dark" || (next === "system" && dark.matches) ? "dark" : "light";
  listeners.forEach((call) => call());
}

const isDark = () => theme() === "dark" || (theme() === "system" && dark.matches);
dark.addEventListener("change", applyTheme);

export const useDark = () =>
  useSyncExternalStore(
    (call) => {
      listeners.add(call);
      return () => listeners.delete(call);
    },
    () => document.documentElement.dataset.theme === "dark",
  );

/** A colour of the style sheet, for charts. */
export const colour = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
