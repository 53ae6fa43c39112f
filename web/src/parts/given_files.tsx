import { useEffect, useState } from "react";
import { get, tooLarge, upload } from "../api";
import { addressOf, exchanged, MOST_FILES, understood, type Given, type Understood } from "../given";
import { problemFrom } from "../hooks";
import { go } from "../route";
import type { Dataset, Problem } from "../types";
import { Pick } from "./drop";
import { Icon } from "./icons";
import { RoleChoice } from "./role";
import { Failure } from "./states";

interface Props {
  given: Given;
  question: string;
  most: number;
}

const placed = (given: Given): Given => Object.fromEntries(Object.entries(given).filter(([, role]) => role));

/** The files of a run that is to be: what each is for, to be corrected; further ones are added. */
export function GivenFiles({ given, question, most }: Props) {
  const [told, setTold] = useState<Understood[]>([]);
  const [names, setNames] = useState<Record<string, string>>({});
  const [doing, setDoing] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const ids = Object.keys(given);
  const key = JSON.stringify(given);
  useEffect(() => {
    const control = new AbortController();
    const mine = JSON.parse(key) as Given;
    Promise.all(Object.keys(mine).map((id) => get<Dataset>(`datasets/${id}`, control.signal)))
      .then((found) => setNames(Object.fromEntries(found.map((one) => [one.id, one.name]))))
      .catch(() => undefined); // the page tells what is wrong with the data
    setTold([]);
    if (Object.keys(mine).length > 1) {
      // A file that was left out stays so: only what has a place is looked at.
      understood(placed(mine), control.signal)
        .then(setTold)
        .catch((error: unknown) => !control.signal.aborted && setProblem(problemFrom(error)));
    }
    return () => control.abort();
  }, [key]);
  const change = (next: Given) => {
    if (Object.values(next).includes("data")) {
      setProblem(null);
      go(addressOf(next, question));
    } else {
      setProblem({ title: "No data", status: 422, detail: "one of the files must be the data", mend: "say first which other file is the data: the two change places" });
    }
  };
  const add = async (list: FileList | null) => {
    const files = [...(list ?? [])].slice(0, MOST_FILES - ids.length);
    setProblem(null);
    const refused = files.map((file) => tooLarge(file, most)).find((one) => one !== null);
    if (refused) {
      setProblem(refused.problem);
      return;
    }
    try {
      const next = { ...given };
      for (const file of files) {
        setDoing(`Uploading ${file.name}`);
        const made = await upload(file, () => undefined);
        next[made.id] ??= "";
      }
      setDoing("Finding out what each file is");
      const found = (await understood(next)).map((one): [string, string] => [one.id, one.role]);
      change({ ...Object.fromEntries(found), ...placed(given) });
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setDoing("");
    }
  };
  return (
    <section className="files-card" aria-label="Files">
      <ul className="given-files plain" hidden={ids.length < 2}>
        {ids.map((id) => {
          const role = given[id] ?? "";
          const name = names[id] ?? id;
          const seen = told.find((one) => one.id === id);
          return (
            <li key={id} className={role ? undefined : "left-out"}>
              <Icon name="file" />
              <span className="slot-name" title={name}>
                {name}
              </span>
              <RoleChoice
                name={name}
                role={role}
                {...(role === "data" ? {} : { none: "left out" })}
                onRole={(next) => change(exchanged(given, id, next))}
              />
              {role !== "data" && (
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Remove ${name}`}
                  onClick={() => change(Object.fromEntries(Object.entries(given).filter(([other]) => other !== id)))}
                >
                  <Icon name="close" size={15} />
                </button>
              )}
              {seen?.problem && (
                <span className="bad-text" role="status">
                  <Icon name="warning" size={15} /> {seen.problem}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      {doing && (
        <p className="muted small-text" role="status">
          {doing} …
        </p>
      )}
      {problem && <Failure problem={problem} />}
      {ids.length < MOST_FILES && <Pick label="Add files" hint="a sample sheet, a second cohort, another layer" onFiles={(list) => void add(list)} />}
    </section>
  );
}
