import { useEffect, useMemo, useState } from "react";
import { volcano } from "../charts/scatters";
import { Chart } from "../charts/chart";
import { counted, relation } from "../format";
import type { FigureData, Scalar } from "../types";
import { directed } from "./cards";
import { Badge } from "./states";

interface Found {
  question: string;
  n_steps: number;
  n_found: number;
  n_refuted: number;
  figure: FigureData;
  cards: {
    title: string;
    relation: string;
    contrast: string;
    direction: string;
    statement: string;
    status: string;
    numbers: { name: string; text: string }[];
  }[];
}

/** What the example comes to, before anything was run: kept with the page, and compared with a run by a test. */
export function ExampleFindings() {
  const [found, setFound] = useState<Found | null>(null);
  useEffect(() => {
    void import("../example.json").then(({ default: kept }) => setFound({ ...kept, figure: { ...kept.figure, rows: kept.figure.rows as Scalar[][] } } as unknown as Found));
  }, []);
  const build = useMemo(() => (found ? volcano(found.figure) : null), [found]);
  if (!found || !build) return null;
  return (
    <section className="example-findings" aria-labelledby="example-findings">
      <h2 id="example-findings">What the example comes to</h2>
      <p className="muted">
        “{found.question}” {counted(found.n_steps, "step")}, {counted(found.n_found, "finding")} held up, {found.n_refuted} refuted. Run it,
        and every number here leads to the row and the step it comes from.
      </p>
      <div className="example-columns">
        <div className="figure">
          <Chart label={`Volcano plot of the example: ${found.cards[0]?.contrast ?? ""}`} build={build} height={470} />
        </div>
        <ol className="example-cards">
          {found.cards.map((one) => (
            <li key={`${one.title} ${one.relation}`}>
              <p className="example-card-head">
                <strong>{one.title}</strong>
                <span className={`direction ${one.direction}`}>{directed(one)}</span>
                <span className="muted small-text">{relation(one.relation)}</span>
                <Badge status={one.status} />
              </p>
              <p className="example-statement">{one.statement}</p>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
