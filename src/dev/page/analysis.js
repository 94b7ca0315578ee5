// @ts-check
// Why was it slow, where did it fail: what a trace says about itself. Pure.

import { isObject, textOf } from "./model.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */

/** Siblings of one name from this many on are called repeated. */
const REPEATED_FROM = 5;
/** A silent stretch is worth a word from this share of the trace on. */
const GAP_FROM_SHARE = 0.15;

/**
 * Seconds of `node` that no child covers.
 * @param {TraceNode} node
 */
export function selfTime(node) {
  return node.duration - covered(node.children, node.start, node.end);
}

/** Seconds inside start..end in which at least one of `nodes` runs. */
export function covered(nodes, start, end) {
  let sum = 0;
  let until = start;
  for (const node of nodes) {
    const from = Math.max(node.start, until);
    const to = Math.min(node.end, end);
    if (to > from) {
      sum += to - from;
      until = to;
    }
  }
  return sum;
}

/** The stretches of `node` that no child covers, as [from, to]; children are in order of their start. */
export function selfStretches(node) {
  const stretches = [];
  let until = node.start;
  for (const child of node.children) {
    if (child.start > until) stretches.push([until, Math.min(child.start, node.end)]);
    until = Math.max(until, child.end);
    if (until >= node.end) break;
  }
  if (until < node.end) stretches.push([until, node.end]);
  return stretches.filter(([from, to]) => to > from);
}

/**
 * The chain of work that the end of the request waited for: Map of key to stretches [from, to] in which the node
 * itself was what everybody waited for. Walked from the end backwards: before a moment, the child that ended last
 * is the one that was waited for. The stretches add up to the entry's duration.
 * @param {Trace} trace
 * @returns {Map<string, [number, number][]>}
 */
export function criticalPath(trace) {
  const path = new Map();
  /** @type {[TraceNode, number][]} */
  const stack = trace.entry === null ? [] : [[trace.entry, trace.entry.end]];
  while (stack.length > 0) {
    const [node, until] = /** @type {[TraceNode, number]} */ (stack.pop());
    const own = [];
    let cursor = Math.min(node.end, until);
    for (const child of [...node.children].sort((a, b) => b.end - a.end)) {
      if (cursor <= node.start) break;
      if (child.start >= cursor || child.end <= node.start) continue;
      const end = Math.min(child.end, cursor);
      if (end < cursor) own.push([end, cursor]);
      stack.push([child, end]);
      cursor = Math.max(child.start, node.start);
    }
    if (cursor > node.start) own.push([node.start, cursor]);
    path.set(node.key, own.reverse());
  }
  return path;
}

/**
 * Where the time went: [{label, node (the longest of them), seconds, share}], longest first, of the critical path.
 * @param {Trace} trace
 */
export function hotspots(trace, path, max = 5) {
  const spots = new Map();
  for (const [key, stretches] of path) {
    const node = /** @type {TraceNode} */ (trace.byKey.get(key));
    const seconds = stretches.reduce((sum, [from, to]) => sum + (to - from), 0);
    if (seconds <= 0) continue;
    const label = node.kind === "segment" ? node.name : `${node.service} › ${node.name}`;
    const spot = spots.get(label);
    if (spot === undefined) spots.set(label, { label, node, seconds, longest: seconds, calls: 1 });
    else {
      spot.seconds += seconds;
      spot.calls += 1;
      if (seconds > spot.longest) Object.assign(spot, { node, longest: seconds });
    }
  }
  const all = trace.entry?.duration ?? 0;
  const sorted = [...spots.values()].sort((a, b) => b.seconds - a.seconds);
  return sorted.slice(0, max).map((spot) => ({ ...spot, share: all > 0 ? spot.seconds / all : 0 }));
}

/**
 * Where it failed: the deepest marked nodes, with what they say, worst and earliest first.
 * @param {Trace} trace
 */
export function failures(trace) {
  const below = new Set(); // keys of nodes with something marked beneath them
  const found = [];
  for (let at = trace.order.length - 1; at >= 0; at -= 1) {
    const node = trace.order[at];
    const marked = node.fault || node.error || node.throttle;
    if (marked && !below.has(node.key)) found.push(node);
    if ((marked || below.has(node.key)) && node.parent) below.add(node.parent.key);
  }
  const rank = (node) => (node.fault ? 0 : node.throttle ? 1 : 2);
  return found.sort((a, b) => rank(a) - rank(b) || a.start - b.start);
}

/** The exception that says most about a node's failure: its first, or that of another segment it points to. */
export function exceptionOf(node, trace) {
  if (node.exceptions.length > 0) return { exception: node.exceptions[0], node };
  const id = causeId(node);
  return id === null ? null : findException(id, trace);
}

/** The id in a `cause` that only points to an exception recorded elsewhere. */
export function causeId(node) {
  const { cause } = node.data;
  if (typeof cause === "string") return textOf(cause);
  return isObject(cause) && node.exceptions.length === 0 ? textOf(cause.id) : null;
}

/** {exception, node} by the exception's id, or null. */
export function findException(id, trace) {
  for (const node of trace.order) {
    const exception = node.exceptions.find((one) => one.id === id);
    if (exception) return { exception, node };
  }
  return null;
}

/**
 * Calls repeated under one parent: [{parent, first, n, seconds}], seconds in which at least one of them ran.
 * @param {Trace} trace
 */
export function repeats(trace) {
  const found = [];
  for (const parent of trace.order) {
    if (parent.children.length < REPEATED_FROM) continue;
    const groups = new Map();
    for (const child of parent.children) {
      const sql = isObject(child.data.sql) ? textOf(child.data.sql.sanitized_query) : null;
      const operation = isObject(child.data.aws) ? textOf(child.data.aws.operation) : null;
      const label = [child.name, sql, operation].join("\u0000");
      groups.set(label, [...(groups.get(label) ?? []), child]);
    }
    for (const group of groups.values()) {
      if (group.length < REPEATED_FROM) continue;
      found.push({ parent, first: group[0], n: group.length, seconds: covered(group, parent.start, Math.max(parent.end, group.at(-1).end)) });
    }
  }
  return found.sort((a, b) => b.seconds - a.seconds);
}

/**
 * The longest stretch in which a node that has children waited for nothing recorded, or null.
 * @param {Trace} trace
 */
export function longestGap(trace) {
  /** @type {{ node: TraceNode, from: number, to: number } | null} */
  let longest = null;
  for (const node of trace.order) {
    if (node.children.length === 0 || node.in_progress) continue;
    for (const [from, to] of selfStretches(node)) {
      if (longest === null || to - from > longest.to - longest.from) longest = { node, from, to };
    }
  }
  return longest !== null && longest.to - longest.from >= trace.duration * GAP_FROM_SHARE ? longest : null;
}
