import { useState } from "react";
import { duration, words } from "../format";
import type { Objective, Plan, Step } from "../types";
import { Icon } from "./icons";
import { Badge, Empty } from "./states";
import { Told } from "./text";
import type { Look } from "./source";

const ORDER: Record<string, number> = { running: 0, done: 1, open: 2, abandoned: 3 };

/** Objectives with their workflows and steps, as a tree. */
export function PlanTree({ plan, now, onLook }: { plan: Plan; now: Set<string>; onLook: (look: Look) => void }) {
  const left = plan.objectives.filter((one) => one.status === "abandoned" && !one.workflows.length);
  const worked = plan.objectives.filter((one) => one.status !== "open" && !left.includes(one));
  const open = plan.objectives.filter((one) => one.status === "open");
  if (!plan.objectives.length) {
    return (
      <Empty title="The plan is being made">
        <p className="muted">First the data are read and profiled; every question follows from that.</p>
      </Empty>
    );
  }
  const sorted = [...worked].sort((a, b) => (ORDER[a.status] === 0 ? 0 : 1) - (ORDER[b.status] === 0 ? 0 : 1));
  return (
    <div className="plan">
      <ol className="tree">
        {sorted.map((one) => (
          <Question key={one.id} objective={one} now={now} onLook={onLook} />
        ))}
      </ol>
      {left.length > 0 && (
        <details className="not-asked">
          <summary>
            Not asked <span className="muted">{left.length}, for want of budget or because others came first</span>
          </summary>
          <ol className="tree">
            {left.map((one) => (
              <Question key={one.id} objective={one} now={now} onLook={onLook} />
            ))}
          </ol>
        </details>
      )}
      {open.length > 0 && (
        <section>
          <h3>Not asked yet</h3>
          <ol className="tree">
            {[...open]
              .sort((a, b) => b.priority - a.priority)
              .map((one) => (
                <Question key={one.id} objective={one} now={now} onLook={onLook} />
              ))}
          </ol>
        </section>
      )}
    </div>
  );
}

function Question({ objective, now, onLook }: { objective: Objective; now: Set<string>; onLook: (look: Look) => void }) {
  const running = objective.status === "running";
  const [open, setOpen] = useState<boolean | null>(null);
  const shown = open ?? running;
  const steps = objective.workflows.flatMap((flow) => flow.steps);
  const done = steps.filter((step) => step.status === "done").length;
  return (
    <li className={`question ${objective.status}`}>
      <button type="button" className="question-head" aria-expanded={shown} onClick={() => setOpen(!shown)}>
        <Icon name={shown ? "down" : "right"} size={15} />
        <span className="id">{objective.id}</span>
        <span className="question-text">{objective.statement}</span>
        <span className="question-end">
          {objective.by_person && <Badge status="planned">yours</Badge>}
          {steps.length > 0 && (
            <span className="muted">
              {done}/{steps.length}
            </span>
          )}
          <Badge status={objective.status} />
        </span>
      </button>
      {shown && (
        <div className="question-body">
          {objective.rationale && <p className="muted">{objective.rationale}</p>}
          {objective.covariates.length > 0 && <p className="muted">Adjusted for {objective.covariates.join(", ")}</p>}
          {objective.workflows.map((flow) => (
            <div key={flow.id} className="workflow">
              {(flow.edits.length > 0 || objective.workflows.length > 1) && (
                <p className="workflow-head">
                  <span className="id">{flow.id}</span> {words(flow.template ?? "workflow")}
                  {flow.edits.map((edit, place) => (
                    <span key={place} className="edit" title={`${edit.step}: because of ${edit.trigger}`}>
                      {edit.op}: {edit.reason}
                    </span>
                  ))}
                </p>
              )}
              <ol className="steps">
                {flow.steps.map((step) => (
                  <StepLine key={step.id} step={step} running={now.has(step.id)} onLook={onLook} />
                ))}
              </ol>
            </div>
          ))}
          {objective.outcome.length > 0 && (
            <p className="outcome">
              <Told pieces={objective.outcome} onSource={(source) => onLook({ source })} />
            </p>
          )}
        </div>
      )}
    </li>
  );
}

function StepLine({ step, running, onLook }: { step: Step; running: boolean; onLook: (look: Look) => void }) {
  const status = running && step.status === "planned" ? "running" : step.status;
  return (
    <li className={`step-row ${status}`}>
      <span className={`dot ${status}`} title={status}>
        {status === "running" ? (
          <span className="spinner small" />
        ) : status === "planned" ? null : (
          <Icon name={status === "done" ? "done" : status === "failed" ? "failed" : "skipped"} size={13} />
        )}
        <span className="sr">{status}</span>
      </span>
      <button type="button" className="step-name" onClick={() => onLook({ step: step.id })}>
        {step.tool}
      </button>
      <span className="step-text">{step.summary || step.purpose}</span>
      <span className="muted step-time">
        {step.seconds !== null ? duration(step.seconds) : step.expected_s !== null ? `≈ ${duration(step.expected_s)}` : ""}
      </span>
    </li>
  );
}
