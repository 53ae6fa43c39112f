/** How the page writes times, sizes and names that carry no claim; numbers of findings are written by the server. */

export function duration(seconds: number): string {
  if (seconds < 0.95) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

export function when(time: string): string {
  const then = new Date(time);
  if (Number.isNaN(then.getTime())) return time;
  const days = (Date.now() - then.getTime()) / 86_400_000;
  const clock = then.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  if (days < 1 && then.getDate() === new Date().getDate()) return `today ${clock}`;
  return `${then.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })} ${clock}`;
}

export const counted = (count: number, what: string) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

export const words = (name: string) => name.replaceAll("_", " ").trim();

/** A title without the underscores with which some sheets begin the names of columns. */
export const readable = (title: string) => title.replace(/(^|[\s:(])_+(?=\w)/g, "$1");

const superscript = (text: string) => text.replace(/[-0-9]/g, (one) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(one)] ?? one);

/** A number of a table cell, short; the cell's title has every digit. */
export function short(value: number): string {
  if (Number.isInteger(value)) return Math.abs(value) < 1e6 ? value.toLocaleString("en") : value.toExponential(2);
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return Number(value.toPrecision(3)).toString().replace("-", "−");
  const [digits = "", exponent = ""] = value.toExponential(1).split("e");
  return `${digits.replace("-", "−")} × 10${superscript(exponent.replace("+", ""))}`;
}

export const RELATION: Record<string, string> = {
  abundance: "Abundance",
  detection: "Detection",
  association: "Association",
  enrichment: "Gene set",
  module: "Module",
  prediction: "Panel",
  replication: "Replication",
  signalling: "Signalling",
  mechanism: "Inferred path",
  interaction: "Interaction",
  survival: "Survival",
};

export const relation = (name: string) => RELATION[name] ?? words(name).replace(/^./, (one) => one.toUpperCase());
