import { useState, type FormEvent } from "react";
import { signIn } from "../api";
import { problemFrom, useTitle } from "../hooks";
import { Icon } from "../parts/icons";
import { Failure } from "../parts/states";
import type { Problem } from "../types";

/** What the server says to scripts, said to somebody who sees a field. */
const told = (problem: Problem): Problem =>
  problem.status === 401
    ? { title: problem.title, status: 401, detail: problem.detail, mend: "paste the whole token, or ask whoever runs this server for a new one" }
    : problem;

/** Asks for an access token, where the server does. */
export function LoginPage({ onDone }: { onDone: () => void }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  useTitle("Sign in");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    signIn(token.trim())
      .then(onDone)
      .catch((error: unknown) => setProblem(told(problemFrom(error))))
      .finally(() => setBusy(false));
  };
  return (
    <main className="login">
      <form onSubmit={submit}>
        <Icon name="mark" size={44} />
        <h1>Nereus</h1>
        <p className="muted">This server asks for an access token. Whoever runs it makes one with</p>
        <p>
          <code>nereus token create NAME</code>
        </p>
        <label>
          Access token
          <input type="password" autoComplete="current-password" autoFocus required value={token} onChange={(event) => setToken(event.target.value)} />
        </label>
        {problem && <Failure problem={problem} />}
        <button type="submit" className="primary" disabled={busy || !token.trim()}>
          Sign in
        </button>
        <p className="muted small-text">The token stays in this browser, in a cookie that no script can read.</p>
      </form>
    </main>
  );
}
