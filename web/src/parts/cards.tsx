import { useMemo, useState } from "react";
import { Figure } from "../charts/figure";
import { relation, words } from "../format";
import type { Card, Plan } from "../types";
import { stepOf, type Look } from "./source";
import { Badge, Empty } from "./states";
import { Told } from "./text";

type Wanted = "held" | "refuted" | "all";

/** Findings, best first, each with what it stands on. */
export function Cards({ run, cards, plan, onLook }: { run: string; cards: Card[]; plan: Plan | null; onLook: (look: Look) => void }) {
  const [asked, setWanted] = useState<Wanted | null>(null);
  const [kind, setKind] = useState("");
  const [search, setSearch] = useState("");
  const held = cards.filter((one) => ["supported", "tentative", "proposed"].includes(one.status));
  const refuted = cards.filter((one) => one.status === "refuted");
  /** Where nothing held up, what was tried is what there is to see. */
  const wanted = asked ?? (held.length ? "held" : "all");
  const pool = wanted === "held" ? held : wanted === "refuted" ? refuted : cards;
  const kinds = [...new Set(pool.map((one) => one.relation))];
  const text = search.trim().toLowerCase();
  const shown = pool.filter(
    (one) =>
      (!kind || one.relation === kind) &&
      (!text || [one.title, one.contrast, one.context, ...one.entities].some((part) => part.toLowerCase().includes(text))),
  );
  const reaches = useMemo(() => reachOf(cards), [cards]);
  return (
    <div className="findings">
      <h2 className="sr">Findings</h2>
      <div className="filters" role="group" aria-label="Which findings">
        <div className="segments">
          {(
            [
              ["held", `Held up ${held.length}`],
              ["refuted", `Refuted ${refuted.length}`],
              ["all", `All ${cards.length}`],
            ] as [Wanted, string][]
          ).map(([name, label]) => (
            <button key={name} type="button" aria-pressed={wanted === name} onClick={() => setWanted(name)}>
              {label}
            </button>
          ))}
        </div>
        <select value={kind} aria-label="Kind of finding" onChange={(event) => setKind(event.target.value)}>
          <option value="">All kinds</option>
          {kinds.map((one) => (
            <option key={one} value={one}>
              {relation(one)}
            </option>
          ))}
        </select>
        <input type="search" placeholder="Gene, protein, set" aria-label="Search findings" value={search} onChange={(event) => setSearch(event.target.value)} />
      </div>
      {shown.length === 0 ? (
        <Empty title={pool.length ? "Nothing matches" : "No finding of this kind"} />
      ) : (
        <ol className="cards">
          {shown.map((card, place) => (
            <Finding key={card.id} run={run} card={card} plan={plan} reach={reaches.get(card.unit) ?? 1} first={place === 0 && wanted === "held" && !text && !kind} onLook={onLook} />
          ))}
        </ol>
      )}
    </div>
  );
}

/** What follows a number rises or falls with it; what is compared is higher or lower. */
export const directed = ({ relation: kind, direction }: { relation: string; direction: string }) =>
  direction === "none" ? "" : kind === "association" || kind === "dose_response" ? (direction === "up" ? "↑ rises" : "↓ falls") : direction === "up" ? "↑ higher" : "↓ lower";

/** How far the axis of each unit reaches, so that intervals of one unit can be compared by eye. */
function reachOf(cards: Card[]): Map<string, number> {
  const made = new Map<string, number>();
  for (const card of cards) {
    for (const number of card.numbers) {
      if (["effect", "ci_low", "ci_high"].includes(number.name)) {
        made.set(card.unit, Math.max(made.get(card.unit) ?? 0.1, Math.abs(number.value)));
      }
    }
  }
  return made;
}

function Finding({ run, card, plan, reach, first, onLook }: { run: string; card: Card; plan: Plan | null; reach: number; first: boolean; onLook: (look: Look) => void }) {
  const [open, setOpen] = useState(first);
  const numbers = new Map(card.numbers.map((one) => [one.name, one]));
  const look = (source: string) => onLook({ source });
  const q = numbers.get("q") ?? numbers.get("p");
  return (
    <li className={`card ${card.status}`}>
      <div className="card-head">
        <span className="rank" aria-label={`rank ${card.rank}`}>
          {card.rank}
        </span>
        <div className="card-title">
          <h3>
            <button type="button" className="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
              {card.title}
            </button>
            <span className={`direction ${card.direction}`}>{directed(card)}</span>
          </h3>
          <p className="muted card-about">
            {relation(card.relation)} · {card.contrast}
          </p>
        </div>
        <Interval card={card} reach={reach} />
        <div className="card-numbers">
          {numbers.get("effect") && <Number label="effect" text={numbers.get("effect")?.text ?? ""} onClick={() => look(numbers.get("effect")?.source ?? "")} />}
          {q && <Number label={q.name} text={q.text} onClick={() => look(q.source)} />}
          {numbers.get("confidence") && (
            <Number label="confidence" text={numbers.get("confidence")?.text ?? ""} onClick={() => look(numbers.get("confidence")?.source ?? "")} />
          )}
        </div>
        <Badge status={card.status} />
      </div>
      {open && (
        <div className="card-body">
          <p className="statement">
            <Told pieces={card.statement} onSource={look} />
          </p>
          {card.figures.map((one) => (
            <Figure
              key={`${one.step} ${one.name}`}
              run={run}
              step={one.step}
              tool={stepOf(plan, one.step)?.tool ?? ""}
              name={one.name}
              title={one.title || words(one.name)}
              height={280}
              onStep={(step) => onLook({ step })}
            />
          ))}
          <div className="card-columns">
            {card.atoms.length > 0 && (
              <section>
                <h4>What was tested</h4>
                <ul className="atoms">
                  {card.atoms.map((atom, place) => (
                    <li key={place}>
                      <Badge status={atom.verdict} />
                      <span>
                        <Told pieces={atom.statement} onSource={look} />
                        {atom.necessary && <span className="muted"> (necessary)</span>}
                        {atom.evidence.slice(0, 6).map((id) => (
                          <button key={id} type="button" className="evidence-id" onClick={() => look(id)} aria-label={`Evidence ${id}`}>
                            {id}
                          </button>
                        ))}
                      </span>
                    </li>
                  ))}
                </ul>
              </section>
            )}
            <section>
              {card.alternatives.length > 0 && (
                <>
                  <h4>What else could explain it</h4>
                  <ul className="plain-list">
                    {card.alternatives.map((one, place) => (
                      <li key={place}>
                        <Told pieces={one} onSource={look} />
                      </li>
                    ))}
                  </ul>
                </>
              )}
              {card.caveats.length > 0 && (
                <>
                  <h4>Caveats</h4>
                  <ul className="plain-list">
                    {card.caveats.map((one, place) => (
                      <li key={place}>
                        <Told pieces={one} onSource={look} />
                      </li>
                    ))}
                  </ul>
                </>
              )}
              {card.experiment.length > 0 && (
                <>
                  <h4>Next experiment</h4>
                  <p>
                    <Told pieces={card.experiment} onSource={look} />
                  </p>
                </>
              )}
            </section>
          </div>
          {card.evidence.length > 0 && (
            <details>
              <summary>
                Evidence <span className="muted">{card.evidence.length}</span>
              </summary>
              <ul className="chips">
                {card.evidence.map((one) => (
                  <li key={one.id}>
                    <button type="button" className="chip" onClick={() => look(one.id)} title={`${one.tool}, step ${one.step}`}>
                      <span className="muted">{one.quantity}</span> {one.text}
                    </button>
                  </li>
                ))}
              </ul>
            </details>
          )}
          <p className="muted small-text">
            {card.id} · {card.author}
          </p>
        </div>
      )}
    </li>
  );
}

function Number({ label, text, onClick }: { label: string; text: string; onClick: () => void }) {
  return (
    <button type="button" className="figure-number" onClick={onClick} title="where it comes from">
      <span className="muted">{label}</span>
      <strong>{text}</strong>
    </button>
  );
}

/** The effect with its interval on the axis that all cards share. */
function Interval({ card, reach }: { card: Card; reach: number }) {
  const value = (name: string) => card.numbers.find((one) => one.name === name)?.value;
  const effect = value("effect");
  if (effect === undefined) return <span className="interval" />;
  const width = 120;
  const x = (at: number) => width / 2 + (Math.max(-reach, Math.min(reach, at)) / reach) * (width / 2 - 4);
  const low = value("ci_low") ?? effect;
  const high = value("ci_high") ?? effect;
  return (
    <svg className={`interval ${card.direction}`} viewBox={`0 0 ${width} 24`} role="img" aria-label={`effect ${effect.toFixed(2)}, interval ${low.toFixed(2)} to ${high.toFixed(2)}`}>
      <line x1={width / 2} x2={width / 2} y1="3" y2="21" className="zero" />
      <line x1={x(low)} x2={x(high)} y1="12" y2="12" className="range" />
      <circle cx={x(effect)} cy="12" r="4.2" className="point" />
    </svg>
  );
}
