import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { isReached, whenReached, whenUnauthorised, send } from "./api";
import { givenBy } from "./given";
import { useLoaded } from "./hooks";
import { Icon } from "./parts/icons";
import { Failure, Loading } from "./parts/states";
import { ComparePage } from "./pages/compare";
import { DataPage } from "./pages/data";
import { HomePage } from "./pages/home";
import { LibraryPage } from "./pages/library";
import { LoginPage } from "./pages/login";
import { RunPage } from "./pages/run";
import { RunsPage } from "./pages/runs";
import { TalkPage } from "./pages/talk";
import { to, useRoute } from "./route";
import { setTheme, useDark } from "./theme";
import type { Session } from "./types";

export function App() {
  const [refused, setRefused] = useState(false);
  const session = useLoaded<Session>("session", refused);
  const { path } = useRoute();
  const place = path.join("/");

  useEffect(() => whenUnauthorised(() => setRefused(true)), []);
  useEffect(() => {
    window.scrollTo({ top: 0 });
  }, [place]);
  const view = path.slice(0, path[0] === "talk" || path[0] === "library" ? 1 : 2).join("/");
  const seen = useRef(view);
  useEffect(() => {
    if (seen.current === view) return;
    seen.current = view;
    // What had the keyboard is gone with its page: it goes on at the beginning of the new one.
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  }, [view]);

  if (refused || session.problem?.status === 401) {
    return (
      <LoginPage
        onDone={() => {
          setRefused(false);
          session.again();
        }}
      />
    );
  }
  return (
    <>
      <a className="skip" href="#main" onClick={(event) => focusMain(event)}>
        Skip to content
      </a>
      <Header session={session.value} here={path[0] ?? ""} onOut={() => setRefused(true)} />
      <main id="main" tabIndex={-1}>
        {session.problem && !session.value ? (
          <Failure problem={session.problem} again={session.again} />
        ) : session.value ? (
          <Page session={session.value} />
        ) : (
          <Loading what="Nereus" />
        )}
      </main>
    </>
  );
}

function focusMain(event: { preventDefault: () => void }): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Page({ session }: { session: Session }) {
  const { path, values } = useRoute();
  const [first, second, third] = path;
  if (first === "runs" && second) return <RunPage key={second} id={second} tab={third ?? "findings"} values={values} />;
  if (first === "runs") return <RunsPage first={values.get("first")} />;
  if (first === "talk") return <TalkPage thread={second ?? null} values={values} session={session} />;
  if (first === "data" && second) {
    return (
      <DataPage
        key={second}
        id={second}
        given={givenBy(second, values)}
        question={values.get("question") ?? ""}
        session={session}
      />
    );
  }
  if (first === "compare") return <ComparePage first={second ?? ""} second={third ?? ""} />;
  if (first === "library") return <LibraryPage tab={second ?? "tools"} name={third ?? ""} />;
  return <HomePage session={session} />;
}

const NAV: [string, string][] = [
  ["", "Start"],
  ["runs", "Runs"],
  ["talk", "Ask"],
  ["library", "Library"],
];

function Header({ session, here, onOut }: { session: Session | null; here: string; onOut: () => void }) {
  const dark = useDark();
  const reached = useSyncExternalStore(whenReached, isReached);
  return (
    <header className="top">
      <a className="brand" href="#/" aria-label="Nereus, start">
        <Icon name="mark" size={26} />
        <span>Nereus</span>
      </a>
      <nav aria-label="Main">
        {NAV.map(([path, label]) => {
          const current = path === here || (path === "" && here === "data") || (path === "runs" && here === "compare");
          return (
            <a key={path} href={path ? to(path) : "#/"} aria-current={current ? "page" : undefined}>
              {label}
            </a>
          );
        })}
      </nav>
      <div className="top-end">
        <span className="unreached" role="status">
          {!reached && (
            <>
              <Icon name="warning" size={15} /> server not reached
            </>
          )}
        </span>
        {session && reached && (
          <span className="privacy" title={privacy(session)}>
            <Icon name={session.asks ? "globe" : "lock"} size={15} />
            <span className="wide">{session.asks ? `decisions ask ${session.asks}` : "nothing leaves this server"}</span>
          </span>
        )}
        <button
          type="button"
          className="quiet icon"
          aria-label={dark ? "Light colours" : "Dark colours"}
          title={dark ? "Light colours" : "Dark colours"}
          onClick={() => setTheme(dark ? "light" : "dark")}
        >
          <Icon name={dark ? "sun" : "moon"} />
        </button>
        {session?.signed_in && (
          <button
            type="button"
            className="quiet"
            onClick={() => void send("session", undefined, "DELETE").finally(onOut)}
            title={`signed in as ${session.owner}`}
          >
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

const privacy = (session: Session) =>
  session.asks
    ? `Decisions of runs are asked of the language model at ${session.asks}: it gets summaries and names, never the data.`
    : "No language model is configured: everything is computed on this server, and nothing is sent anywhere.";
