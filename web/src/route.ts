/** Where the page is: the part of the address after `#`, so that the server needs to know one page alone. */

import { useSyncExternalStore } from "react";

export interface Route {
  path: string[];
  values: URLSearchParams;
}

const subscribe = (call: () => void) => {
  window.addEventListener("hashchange", call);
  return () => window.removeEventListener("hashchange", call);
};

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => window.location.hash);
  const [path = "", values = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decoded), values: new URLSearchParams(values) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const to = (...path: string[]) => `#/${path.map(encodeURIComponent).join("/")}`;

/** Addresses that this visit has gone to from within the page: behind them lies a page of it. */
let steps = 0;

/** To where the reader came from, where that was this page; else to a place. */
export const back = (place: string) => {
  if (steps > 0) {
    steps -= 1;
    window.history.back();
  } else window.location.replace(place);
};

export const go = (address: string) => {
  steps += 1;
  window.location.hash = address.replace(/^#/, "");
};
