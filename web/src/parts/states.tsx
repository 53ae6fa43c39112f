import type { ReactNode } from "react";
import type { Problem } from "../types";
import { Icon } from "./icons";

/** While something is fetched. */
export function Loading({ what }: { what: string }) {
  return (
    <div className="loading" role="status">
      <span className="spinner" aria-hidden="true" /> <span>{what} …</span>
    </div>
  );
}

/** An error that was written down as one text, as runs and jobs keep theirs: what, where and what to do apart. */
function parted(problem: Problem): Problem {
  const [, what = problem.detail, where, mend] = /^([\s\S]*?)(?:\s+where: ([\s\S]*?))?(?:\s+mend: ([\s\S]*))?$/.exec(problem.detail) ?? [];
  return {
    ...problem,
    detail: what,
    ...(problem.where || !where ? {} : { where }),
    ...(mend ? { mend } : {}),
  };
}

/** An error: what was wrong, where, and what to do. */
export function Failure({ problem: given, again }: { problem: Problem; again?: () => void }) {
  const problem = parted(given);
  return (
    <div className="failure" role="alert">
      <Icon name="warning" size={20} />
      <div>
        <p className="failure-what">{problem.detail}</p>
        {problem.where && <p className="muted">Where: {problem.where}</p>}
        {problem.mend && <p>What to do: {problem.mend}</p>}
        {again && (
          <button type="button" onClick={again}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

/** Where there is nothing yet. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

const TONE: Record<string, string> = {
  finished: "good",
  done: "good",
  supported: "good",
  holds: "good",
  ok: "good",
  running: "live",
  queued: "live",
  waiting: "ask",
  tentative: "ask",
  stopped: "ask",
  assumed: "plain",
  cancelled: "plain",
  planned: "plain",
  open: "plain",
  skipped: "plain",
  abandoned: "plain",
  proposed: "plain",
  inferred: "ask",
  refused: "bad",
  failed: "bad",
  refuted: "bad",
  fails: "bad",
};

export function Badge({ status, children }: { status: string; children?: ReactNode }) {
  return <span className={`badge ${TONE[status] ?? "plain"}`}>{children ?? status}</span>;
}
