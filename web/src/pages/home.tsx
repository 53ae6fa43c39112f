import { useState } from "react";
import { send } from "../api";
import { size, when } from "../format";
import { problemFrom, useLoaded, useTitle } from "../hooks";
import { Icon } from "../parts/icons";
import { Drop } from "../parts/drop";
import { ExampleFindings } from "../parts/example_findings";
import { Badge, Failure } from "../parts/states";
import { go, to } from "../route";
import type { Dataset, Example, Problem, Run, Session } from "../types";

/** Where everybody starts: give a file, look at the example, or go on with something. */
export function HomePage({ session }: { session: Session }) {
  useTitle("");
  const runs = useLoaded<Run[]>("runs?limit=5");
  const datasets = useLoaded<Dataset[]>("datasets?limit=5");
  const examples = useLoaded<Example[]>("examples");
  return (
    <div className="home">
      <section className="hero">
        <h1>From a raw table to ranked hypotheses</h1>
        <p className="lead">
          Nereus reads your proteomics data, plans the analysis, tests it, and questions its own results. Every number leads to the
          row and the step it comes from.
        </p>
      </section>
      <div className="home-columns">
        <Drop most={session.upload_bytes} />
        <div className="home-side">
          {(examples.value ?? []).map((one) => (
            <ExampleCard key={one.name} example={one} runs={runs.value ?? []} />
          ))}
          <p className="assurance">
            <Icon name={session.asks ? "globe" : "lock"} size={16} />
            {session.asks
              ? `Decisions of runs may be asked of the language model at ${session.asks}. It gets summaries and names, never the data.`
              : "No key, no account, no language model: everything is computed on this server, and nothing is sent anywhere."}
          </p>
        </div>
      </div>
      {runs.value?.length === 0 && examples.value?.length !== 0 && <ExampleFindings />}
      {runs.problem && <Failure problem={runs.problem} again={runs.again} />}
      {(runs.value ?? []).length > 0 && (
        <section>
          <h2>
            Recent runs <a href={to("runs")}>all runs</a>
          </h2>
          <RunList runs={runs.value ?? []} />
        </section>
      )}
      {(datasets.value ?? []).length > 0 && (
        <section>
          <h2>Your files</h2>
          <ul className="list">
            {(datasets.value ?? []).map((one) => (
              <li key={one.id}>
                <a href={to("data", one.id)} className="list-row">
                  <Icon name="file" />
                  <span className="list-main">{one.name}</span>
                  <span className="muted">{size(one.size)}</span>
                  <span className="muted">{when(one.created_at)}</span>
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

export function RunList({ runs }: { runs: Run[] }) {
  return (
    <ul className="list">
      {runs.map((one) => (
        <li key={one.id}>
          <a href={to("runs", one.id)} className="list-row">
            <Badge status={one.status} />
            <span className="list-main">{one.question ?? "What is in these data?"}</span>
            <span className="muted wide">{one.inputs.data}</span>
            <span className="muted">{when(one.started)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function ExampleCard({ example, runs }: { example: Example; runs: Run[] }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const earlier = runs.find((one) => one.question === example.question && one.status === "finished");
  const take = (start: boolean) => {
    setBusy(true);
    send<{ data: Dataset; samples: Dataset; question: string }>(`examples/${encodeURIComponent(example.name)}`)
      .then(async (taken) => {
        if (start) {
          const run = await send<Run>("runs", { data: taken.data.id, samples: taken.samples.id, question: taken.question });
          go(to("runs", run.id));
        } else go(`${to("data", taken.data.id)}?samples=${taken.samples.id}&question=${encodeURIComponent(taken.question)}`);
      })
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setBusy(false));
  };
  return (
    <section className="example" aria-labelledby={`example-${example.name}`}>
      <p className="overline">Example</p>
      <h2 id={`example-${example.name}`}>{example.title}</h2>
      <p>{example.about}.</p>
      <div className="actions">
        <button type="button" className="primary" disabled={busy} onClick={() => take(true)}>
          <Icon name="play" size={16} /> Run it
        </button>
        <button type="button" disabled={busy} onClick={() => take(false)}>
          Look at the data first
        </button>
        {earlier && <a href={to("runs", earlier.id)}>See the finished run</a>}
      </div>
      {problem && <Failure problem={problem} />}
      <p className="muted small-text">
        {example.source}. {example.licence}. A minute or two on a laptop.
      </p>
    </section>
  );
}
