/** Signs of one stroke, drawn here so that no file of icons is needed. */

const PATHS: Record<string, string> = {
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5 19 19M19 5l-1.5 1.5M6.5 17.5 5 19",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M4 16v4h16v-4",
  download: "M12 4v11M7.5 10.5 12 15l4.5-4.5M4 17v3h16v-3",
  close: "M6 6l12 12M18 6 6 18",
  right: "M9 5l7 7-7 7",
  down: "M5 9l7 7 7-7",
  done: "M5 12.5l4.5 4.5L19 7",
  failed: "M6 6l12 12M18 6 6 18",
  skipped: "M6 12h12",
  stop: "M7 7h10v10H7z",
  play: "M8 5l11 7-11 7z",
  chat: "M4 5h16v11H9l-5 4z",
  send: "M4 12l16-8-6 16-3-6z",
  table: "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14",
  graph: "M6 6.5a2 2 0 1 0 0 .1M18 8.5a2 2 0 1 0 0 .1M11 18a2 2 0 1 0 0 .1M7.6 7 16 8.3M6.7 8.4 10.4 16M17 10.3 12.4 16.6",
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7.5v.5",
  warning: "M12 4 2.5 20h19zM12 10v5M12 17.5v.3",
  compare: "M8 4v16M16 4v16M3 8l5-4 5 4M11 16l5 4 5-4",
  pencil: "M4 20l1-4L16 5l3 3L8 19z",
  expand: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
};

export function Icon({ name, size = 18 }: { name: string; size?: number }) {
  if (name === "mark") {
    return (
      <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="var(--brand)" />
        <path
          d="M5 13c3.7 0 3.7 3 7.3 3s3.7-3 7.4-3 3.6 3 7.3 3M5 20c3.7 0 3.7 3 7.3 3s3.7-3 7.4-3 3.6 3 7.3 3"
          fill="none"
          stroke="#fff"
          strokeWidth="2.6"
          strokeLinecap="round"
        />
        <circle cx="16" cy="8.2" r="2.2" fill="#f2b84b" />
      </svg>
    );
  }
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name] ?? ""} />
    </svg>
  );
}
