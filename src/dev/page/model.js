// @ts-check
// The documents of one trace as one tree, whatever their order and however little they keep to the rules. Pure.
//
// SDKs send segments whole, or their subsegments one by one before or after them, and in-progress copies before the
// complete ones. Fields may be missing or of the wrong type: a bad field is left out, the rest is shown.

import { compareClocks } from "./clocks.js";
import { furtherUnit, noteOf, secondsOf, unitOf } from "./unit.js";

/** Numbers of so few digits are what they were in the document. */
const SAFE_DIGITS = 15;

/** A number with more digits than JavaScript keeps: it is shown as it was sent. */
export class LongNumber {
  /** `text` as in the document. */
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return this.text;
  }
}

export function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof LongNumber);
}

/** A finite number, or null; numbers in strings count, as some SDKs write them so. */
export function numberOf(value) {
  const isText = (typeof value === "string" && value.trim() !== "") || value instanceof LongNumber;
  const number = isText ? Number(String(value)) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

/** A string with something in it, or null. */
export function textOf(value) {
  return typeof value === "string" && value !== "" ? value : null;
}

/**
 * A segment or subsegment in the tree; times in seconds since 1970.
 * @typedef {object} TraceNode
 * @property {string} key which one it is; its id where it has one
 * @property {string | null} id
 * @property {string} name
 * @property {"segment" | "subsegment"} kind
 * @property {string} service whose segment it is in
 * @property {Record<string, any>} data as sent
 * @property {number} document the index of the one it came in
 * @property {boolean} otlp
 * @property {string | null} parentKey
 * @property {TraceNode | null} parent
 * @property {TraceNode[]} children by their start
 * @property {number} depth
 * @property {boolean} orphan its parent has not arrived
 * @property {number} start
 * @property {number} end
 * @property {number} duration
 * @property {{ name: string, in_a_second: number } | null} unit of `start_time`, where that is no time in seconds
 * @property {boolean} in_progress
 * @property {number} skew seconds that its clock is ahead of its caller's, where that is sure; else 0
 * @property {number} shift what added to its times as sent makes them those of the clock at the top
 * @property {boolean} fault
 * @property {boolean} error
 * @property {boolean} throttle
 * @property {Record<string, any>[]} exceptions
 */

/**
 * @typedef {object} Trace
 * @property {string} id
 * @property {number} start
 * @property {number} end
 * @property {number} duration
 * @property {TraceNode[]} roots
 * @property {TraceNode} entry where the request came in; null only where there is no node at all
 * @property {TraceNode[]} order all nodes, parents before children
 * @property {Map<string, TraceNode>} byKey
 * @property {string[]} services
 * @property {any[]} documents
 * @property {{ code: string, text: string, segments: string[] }[]} hints what probably went wrong in who sent it
 * @property {number} unreadable
 * @property {boolean} in_progress
 * @property {number} known_end the last moment that a segment told of; what has not ended goes on after it
 * @property {number} skew_s the largest difference of clocks, 0 where they agree
 * @property {boolean} adjusted times are those of the clock at the top
 * @property {string | null} note what is odd about its times
 */

/**
 * `answer` as in the contract of /-/trace; `now` in seconds since 1970: what has not ended lasts until then; `adjust`: clocks
 * that differ are taken to agree.
 * @param {any} answer
 * @param {{ now: number, adjust?: boolean }} options
 * @returns {Trace}
 */
export function buildTrace(answer, { now, adjust = false }) {
  const documents = Array.isArray(answer.segments) ? answer.segments : [];
  const found = [];
  let unreadable = 0;
  documents.forEach((entry, index) => {
    const data = parse(entry?.document);
    if (data === null) unreadable += 1;
    else collect(data, index, entry.otlp === true, found);
  });
  const nodes = choose(found);
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  attach(nodes, byKey);
  const roots = nodes.filter((node) => node.parent === null);
  settleTimes(nodes, roots);
  compareClocks(preorder(roots));
  if (adjust) nodes.forEach(move);
  nodes.forEach((node) => node.children.sort(byStart));
  roots.sort(byStart);
  const order = preorder(roots);
  // A clock that differs does not take the axis; its bar is out of sight until the clocks are adjusted.
  const agreeing = adjust ? order : order.filter((node) => node.shift === 0);
  const start = agreeing.reduce((low, node) => Math.min(low, node.start), agreeing[0]?.start ?? 0);
  const known_end = agreeing.reduce((high, node) => Math.max(high, node.end), start);
  const open = order.some((node) => node.in_progress);
  const end = open ? Math.max(known_end, now) : known_end;
  for (const node of order) if (node.in_progress) stretch(node, adjust ? end : end - node.shift);
  nameServices(order);
  nameLocalCalls(order);
  return {
    id: textOf(answer.id) ?? "",
    start,
    end,
    duration: Math.max(0, end - start),
    roots,
    entry: roots.find((node) => node.kind === "segment" && !node.orphan) ?? roots.find((node) => node.kind === "segment") ?? roots[0] ?? null,
    order,
    byKey,
    services: [...new Set(order.map((node) => node.service))],
    documents,
    hints: hintsOf(answer),
    unreadable,
    in_progress: open,
    known_end,
    skew_s: order.reduce((most, node) => (Math.abs(node.skew) > Math.abs(most) ? node.skew : most), 0),
    adjusted: adjust,
    note: noteOf(order.reduce((unit, node) => furtherUnit(unit, node.unit), null)),
  };
}

/** What the server says went wrong in who sent the trace. */
function hintsOf(answer) {
  const all = Array.isArray(answer?.hints) ? answer.hints : [];
  return all.filter((hint) => isObject(hint) && textOf(hint.text)).map((hint) => ({ code: textOf(hint.code) ?? "", text: hint.text, segments: Array.isArray(hint.segments) ? hint.segments.filter((id) => textOf(id) !== null) : [] }));
}

function parse(text) {
  try {
    const data = JSON.parse(text, longNumbers);
    return isObject(data) ? data : null;
  } catch {
    return null;
  }
}

/** Browsers that do not tell the text of a value show such a number rounded. */
function longNumbers(_key, value, context) {
  const source = typeof value === "number" ? (context?.source ?? "") : "";
  return source.length > SAFE_DIGITS && /^-?[\d.]+$/.test(source) && String(value) !== source ? new LongNumber(source) : value;
}

/** Every segment and subsegment of a document, without recursion: nesting is as deep as the sender likes. */
function collect(document, index, otlp, found) {
  const stack = [{ data: document, parentKey: textOf(document.parent_id), nested: false }];
  while (stack.length > 0) {
    const { data, parentKey, nested } = /** @type {(typeof stack)[0]} */ (stack.pop());
    const id = textOf(data.id);
    const key = id ?? `no-id-${found.length}`; // parents are found by key, and named by id
    const kind = nested || data.type === "subsegment" ? "subsegment" : "segment";
    found.push({ key, id, data, kind, parentKey, document: index, otlp });
    const inner = Array.isArray(data.subsegments) ? data.subsegments.filter(isObject) : [];
    for (const child of inner.reverse()) stack.push({ data: child, parentKey: key, nested: true });
  }
}

/** One node per id: a complete copy before one in progress, a later one before an earlier one. */
function choose(found) {
  const best = new Map();
  for (const one of found) {
    const other = best.get(one.key);
    if (other === undefined || isComplete(one.data) || !isComplete(other.data)) best.set(one.key, one);
  }
  return [...best.values()].map(makeNode);
}

function isComplete(data) {
  return numberOf(data.end_time) !== null;
}

/** @returns {any} a node whose place and times are still to be settled */
function makeNode({ key, id, data, kind, parentKey, document, otlp }) {
  const cause = isObject(data.cause) ? data.cause : {};
  return {
    key,
    id,
    kind,
    data,
    document,
    otlp,
    parentKey,
    name: textOf(data.name) ?? "(no name)",
    parent: null,
    children: [],
    depth: 0,
    orphan: false,
    start: secondsOf(numberOf(data.start_time)),
    end: secondsOf(numberOf(data.end_time)),
    unit: unitOf(numberOf(data.start_time)),
    in_progress: numberOf(data.end_time) === null,
    skew: 0,
    shift: 0,
    fault: data.fault === true,
    error: data.error === true,
    throttle: data.throttle === true,
    exceptions: Array.isArray(cause.exceptions) ? cause.exceptions.filter(isObject) : [],
  };
}

/** Puts nodes under their parents. Takes time with their number, however long the ways up are. */
function attach(nodes, byKey) {
  for (const node of nodes) {
    if (node.parentKey === null) continue;
    node.parent = byKey.get(node.parentKey) ?? null;
    node.orphan = node.parent === null;
  }
  openCircles(nodes);
  for (const node of nodes) node.parent?.children.push(node);
}

/** Whoever comes last in a circle of parents has none. */
function openCircles(nodes) {
  const places = new Map(nodes.map((node, place) => [node, place]));
  const met = new Map(); // on which way up a node was met first
  for (const start of nodes) {
    let at = start;
    while (at !== null && !met.has(at)) {
      met.set(at, start);
      at = at.parent;
    }
    if (at === null || met.get(at) !== start) continue;
    let last = at;
    for (let one = at.parent; one !== at; one = one.parent) if (places.get(one) > places.get(last)) last = one;
    last.parent = null;
  }
}

/** Nodes without a start begin with their parent; no node ends before it starts. */
function settleTimes(nodes, roots) {
  const known = nodes.map((node) => node.start).filter((start) => start !== null);
  const first = known.reduce((low, start) => Math.min(low, start), known[0] ?? 0);
  for (const node of preorder(roots)) {
    node.start ??= node.parent?.start ?? first;
    node.end = Math.max(node.start, node.end ?? node.start);
    node.duration = node.end - node.start;
  }
}

/** To the clock at the top. */
function move(node) {
  node.start += node.shift;
  node.end += node.shift;
}

function stretch(node, end) {
  node.end = Math.max(node.start, end);
  node.duration = node.end - node.start;
}

function preorder(roots) {
  const order = [];
  const stack = [...roots].reverse();
  while (stack.length > 0) {
    const node = stack.pop();
    node.depth = node.parent === null ? 0 : node.parent.depth + 1;
    order.push(node);
    for (let at = node.children.length - 1; at >= 0; at -= 1) stack.push(node.children[at]);
  }
  return order;
}

/** A subsegment belongs to the service whose segment it is in. */
function nameServices(order) {
  for (const node of order) node.service = node.kind === "segment" || node.parent === null ? node.name : node.parent.service;
}

/** @param {TraceNode} a @param {TraceNode} b */
/** A host that says nothing but that the call stayed on this machine. */
const LOCAL = /^(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|\[?::1\]?|host\.docker\.internal)(:\d{1,5})?$/i;

/** A call to such a host is called by the service that answered. */
function nameLocalCalls(order) {
  for (const node of order) {
    if (node.kind !== "subsegment" || !LOCAL.test(node.name)) continue;
    const answered = node.children.find((child) => child.kind === "segment");
    if (answered) node.name = answered.name;
  }
}

function byStart(a, b) {
  return a.start - b.start || b.end - a.end;
}

/**
 * What kind of work a node is: the name of its icon.
 * @param {TraceNode} node
 */
export function kindOf(node) {
  if (isObject(node.data.sql)) return "database";
  if (node.data.namespace === "aws") return /dynamo|rds|database/i.test(node.name) ? "database" : "cloud";
  if (node.data.namespace === "remote") return "globe";
  return node.kind === "segment" ? "server" : "code";
}

/**
 * The few words that tell one call from another of the same name.
 * @param {TraceNode} node
 */
export function subtitle(node) {
  const { data } = node;
  if (isObject(data.sql)) return textOf(data.sql.sanitized_query) ?? textOf(data.sql.database_type) ?? "";
  if (isObject(data.aws) && textOf(data.aws.operation)) {
    const target = textOf(data.aws.table_name) ?? textOf(data.aws.bucket_name) ?? lastPart(data.aws.queue_url) ?? textOf(data.aws.function_name);
    return [data.aws.operation, target].filter(Boolean).join(" ");
  }
  const request = isObject(data.http) && isObject(data.http.request) ? data.http.request : {};
  return [textOf(request.method), textOf(request.url) && pathOf(request.url)].filter(Boolean).join(" ");
}

function lastPart(url) {
  return textOf(url)?.split("/").at(-1) ?? null;
}

function pathOf(url) {
  try {
    const { pathname, search } = new URL(url);
    return pathname + search;
  } catch {
    return url;
  }
}

/**
 * The status code of a node's HTTP response, or null.
 * @param {TraceNode} node
 */
export function statusOf(node) {
  const { http } = node.data;
  return isObject(http) && isObject(http.response) ? numberOf(http.response.status) : null;
}
