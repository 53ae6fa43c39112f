import type { ReactNode } from "react";

/**
 * The little Markdown that answers are written in: paragraphs, lists, tables, headings, bold, code. Text stays text: every piece
 * becomes a React node, links and HTML do not exist.
 */
export function Markdown({ text }: { text: string }) {
  return (
    <>
      {plain(text)
        .split(/^(```[^\n]*\n[\s\S]*?\n```)[ \t]*$/m)
        .map((part, place) =>
          part.startsWith("```") ? (
            <pre key={place} className="doc" tabIndex={0}>
              {part.replace(/^```[^\n]*\n/, "").replace(/\n```$/, "")}
            </pre>
          ) : (
            part.split(/\n{2,}/).map((block, at) => blockOf(block.trim(), `${place} ${at}`))
          ),
        )}
    </>
  );
}

/** Answers write `<` and `](` so that no page takes them for markup; here they are what they are. */
const plain = (text: string) => text.replaceAll("&lt;", "<").replaceAll("]\\(", "](");

function blockOf(block: string, place: string): ReactNode {
  if (!block) return null;
  const lines = block.split("\n");
  if (lines.every((line) => /^\s*[-*] /.test(line) || /^\s{2,}/.test(line))) {
    return (
      <ul key={place} className="plain-list">
        {lines.map((line, at) => (
          <li key={at}>{inline(line.replace(/^\s*[-*] /, ""))}</li>
        ))}
      </ul>
    );
  }
  if (lines.every((line) => /^\s*\d+\. /.test(line))) {
    return (
      <ol key={place} className="plain-list numbered">
        {lines.map((line, at) => (
          <li key={at}>{inline(line.replace(/^\s*\d+\. /, ""))}</li>
        ))}
      </ol>
    );
  }
  if (lines.length > 1 && lines.every((line) => line.startsWith("|")) && /^[|\s:-]+$/.test(lines[1] ?? "")) {
    const [head = "", , ...rows] = lines;
    return (
      <div key={place} className="grid" role="region" aria-label="Table" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {cells(head).map((one, at) => (
                <th key={at} scope="col">
                  {inline(one)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              <tr key={at}>
                {cells(row).map((one, column) => (
                  <td key={column}>{inline(one)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }
  const [first = "", ...rest] = lines;
  if (/^#{1,6} /.test(first)) {
    return (
      <div key={place}>
        <h4>{inline(first.replace(/^#+ /, ""))}</h4>
        {rest.length > 0 && blockOf(rest.join("\n"), "rest")}
      </div>
    );
  }
  const list = lines.findIndex((line) => /^\s*[-*] /.test(line));
  if (list > 0) {
    return (
      <div key={place}>
        {blockOf(lines.slice(0, list).join("\n"), "before")}
        {blockOf(lines.slice(list).join("\n"), "list")}
      </div>
    );
  }
  return (
    <p key={place}>
      {lines.map((line, at) => (
        <span key={at}>
          {at > 0 && <br />}
          {inline(line)}
        </span>
      ))}
    </p>
  );
}

const cells = (row: string) =>
  row
    .replace(/^\||\|\s*$/g, "")
    .split("|")
    .map((one) => one.trim());

/** Numbers as 8.4e-17 stay on one line. */
const unbroken = (text: string): ReactNode =>
  text.includes("e-") ? (
    <>
      {text.split(/(\d[\d.]*e-\d+)/).map((one, place) =>
        place % 2 ? (
          <span key={place} className="nowrap">
            {one}
          </span>
        ) : (
          one
        ),
      )}
    </>
  ) : (
    text
  );

export function inline(text: string): ReactNode[] {
  return text.split(/(\*\*[^*]+\*\*|``[^`]+``|`[^`]+`)/).map((part, place) =>
    part.startsWith("**") && part.endsWith("**") && part.length > 4 ? (
      <strong key={place}>{part.slice(2, -2)}</strong>
    ) : part.startsWith("`") && part.endsWith("`") && part.length > 2 ? (
      <code key={place}>{part.replace(/^`+|`+$/g, "")}</code>
    ) : (
      unbroken(part)
    ),
  );
}
