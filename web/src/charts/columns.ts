import type { PlainTable, Scalar } from "../types";

/** Columns of a table by name. */
export class Columns {
  private readonly places: Map<string, number>;

  constructor(readonly table: Pick<PlainTable, "columns" | "rows">) {
    this.places = new Map(table.columns.map((name, place) => [name, place]));
  }

  has(...names: string[]): boolean {
    return names.every((name) => this.places.has(name));
  }

  get length(): number {
    return this.table.rows.length;
  }

  at(row: number, name: string): Scalar {
    const place = this.places.get(name);
    return place === undefined ? null : (this.table.rows[row]?.[place] ?? null);
  }

  number(row: number, name: string): number | null {
    const found = this.at(row, name);
    return typeof found === "number" ? found : null;
  }

  text(row: number, name: string): string {
    const found = this.at(row, name);
    return found === null ? "" : String(found);
  }

  levels(name: string): string[] {
    return [...new Set(this.table.rows.map((_, row) => this.text(row, name)))];
  }
}
