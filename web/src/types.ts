/** What the REST API answers with, as far as the page reads it (see /openapi.json). */

import type { Understood } from "./given";

export type Scalar = string | number | boolean | null;
export type Json = Scalar | Json[] | { [name: string]: Json };

export interface Problem {
  title: string;
  status: number;
  detail: string;
  where?: string;
  mend?: string;
}

export interface Session {
  owner: string;
  scopes: string[];
  signed_in: boolean;
  version: string;
  policy: string;
  asks: string | null;
  offline: boolean;
  upload_bytes: number;
}

export interface Example {
  name: string;
  title: string;
  about: string;
  question: string;
  source: string;
  licence: string;
}

export interface Dataset {
  id: string;
  name: string;
  size: number;
  created_at: string;
}

export interface Job {
  id: string;
  kind: string;
  status: "queued" | "running" | "finished" | "failed" | "cancelled";
  created_at: string;
  tool: string | null;
  result: {
    summary?: string;
    values?: Record<string, Scalar>;
    warnings?: string[];
    outputs?: Record<string, { kind: string; name: string; size: number; summary: string }>;
    error?: { what: string; where: string | null; mend: string | null };
    files?: Understood[];
  };
}

export interface Run {
  id: string;
  status: string;
  stop_reason: string;
  question: string | null;
  inputs: Record<string, string>;
  seed: number;
  policy: string;
  started: string;
  finished: string | null;
  wall_s: number;
  used: Record<string, number>;
  last_event: number;
}

export interface Piece {
  text: string;
  source: string | null;
  value: Scalar;
}

export interface StepOutput {
  name: string;
  kind: string;
  title: string;
  size: number;
}

export interface Step {
  id: string;
  tool: string;
  version: string | null;
  purpose: string;
  status: string;
  params: Record<string, Json>;
  inputs: Record<string, string>;
  verdict: string | null;
  summary: string;
  warnings: string[];
  error: string | null;
  expected_s: number | null;
  seconds: number | null;
  key: string | null;
  seed: number | null;
  outputs: StepOutput[];
}

export interface Workflow {
  id: string;
  template: string | null;
  version: number;
  edits: { op: string; step: string; reason: string; trigger: string }[];
  steps: Step[];
}

export interface Objective {
  id: string;
  kind: string;
  statement: string;
  about: string;
  rationale: string;
  priority: number;
  status: string;
  outcome: Piece[];
  parent: string | null;
  covariates: string[];
  by_person: boolean;
  workflows: Workflow[];
}

export interface Plan {
  objectives: Objective[];
  notices: Piece[][];
}

export interface CardNumber {
  name: string;
  text: string;
  value: number;
  source: string;
}

export interface CardEvidence {
  id: string;
  quantity: string;
  text: string;
  value: Scalar;
  step: string;
  tool: string;
  name: string | null;
  table: string | null;
  row: string | null;
  column: string | null;
}

export interface Card {
  id: string;
  rank: number;
  status: string;
  grain: string;
  title: string;
  relation: string;
  contrast: string;
  context: string;
  direction: "up" | "down" | "none";
  statement: Piece[];
  confidence: number | null;
  confidence_word: string;
  unit: string;
  numbers: CardNumber[];
  scores: Record<string, number | null>;
  scores_are_proxies: boolean;
  atoms: { kind: string; statement: Piece[]; verdict: string; necessary: boolean; evidence: string[] }[];
  alternatives: Piece[][];
  experiment: Piece[];
  caveats: Piece[][];
  evidence: CardEvidence[];
  figures: { step: string; name: string; title: string }[];
  entities: string[];
  author: string;
  merged_into: string | null;
}

export interface TablePage {
  columns: string[];
  kinds: ("number" | "text" | "truth")[];
  rows: Scalar[][];
  offset: number;
  n_found: number;
  n_total: number;
  at: number | null;
}

export interface PlainTable {
  columns: string[];
  rows: Scalar[][];
  n_total: number;
}

/** A figure as data: what is drawn, and what it takes to draw it anew. */
export interface FigureData extends Omit<PlainTable, "n_total"> {
  tool: string;
  params: Record<string, Json>;
  values: Record<string, Scalar>;
  inputs: Record<string, string>;
  /** Sample to its group, where columns are samples. */
  groups: Record<string, string>;
}

export interface GraphNode {
  id: string;
  kind: string;
  entity: string;
  name: string;
}

export interface GraphEdge {
  id: string;
  kind: string;
  source: string;
  target: string;
  sign: number;
  about: string;
  status: string;
  effect: number | null;
  q: number | null;
  confidence: number | null;
  evidence_ids: string[];
  note: string;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  n_total: number;
}

export interface RunEvent {
  seq: number;
  type: string;
  subject: string;
  payload: Record<string, Json>;
  ts: string;
}

export interface Approval {
  id: string;
  kind: string;
  status: string;
  request: Record<string, Json>;
  answer: Record<string, Json> | null;
  answered_by: string;
}

export interface Comparison {
  first: string;
  second: string;
  same_findings: boolean;
  equal: Record<string, number>;
  differences: TablePage;
  claims: TablePage;
  effects: TablePage;
}

export interface Tool {
  name: string;
  version: string;
  summary: string;
  capability: string;
  inputs: { name: string; kind: string; required: boolean }[];
  outputs: string[];
}

export interface ToolDetails extends Tool {
  documentation: string;
  parameters: { properties?: Record<string, { description?: string; default?: Json; type?: string; enum?: Json[] }> };
}
