// @ts-check
// The calls of a trace, those of one name under one caller taken together; and of all of one name. Pure.

import { selfTime } from "./analysis.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */

/**
 * @typedef {object} Merged
 * @property {string} key the names from the top
 * @property {string} name
 * @property {string} service
 * @property {TraceNode[]} nodes
 * @property {TraceNode} longest
 * @property {number} self_s
 * @property {number} total_s of all of them together, side by side or not
 * @property {number} weight_s what itself and all below did by themselves: what its bar stands for
 * @property {number} failed
 * @property {Merged | null} parent
 * @property {Merged[]} children
 */

/** @param {string} key @param {TraceNode} node @param {Merged | null} parent @returns {Merged} */
function empty(key, node, parent) {
  return { key, name: node.name, service: node.service, nodes: [], longest: node, self_s: 0, total_s: 0, weight_s: 0, failed: 0, parent, children: [] };
}

/** @param {Merged} merged @param {TraceNode} node */
function add(merged, node) {
  merged.nodes.push(node);
  merged.self_s += selfTime(node);
  merged.total_s += node.duration;
  if (node.fault || node.error || node.throttle) merged.failed += 1;
  if (node.duration > merged.longest.duration) merged.longest = node;
}

/**
 * The calls as one tree, widest first; without recursion, since calls are as deep as the sender likes.
 * @param {Trace} trace
 * @returns {Merged[]} what nobody called
 */
export function mergeCalls(trace) {
  /** @type {Map<TraceNode, Merged>} */
  const placed = new Map();
  /** @type {Map<string, Merged>} */
  const known = new Map();
  const roots = [];
  const all = [];
  for (const node of trace.order) {
    const parent = (node.parent && placed.get(node.parent)) ?? null;
    const key = `${parent ? parent.key : ""}\n${node.kind} ${node.name}`;
    let merged = known.get(key);
    if (merged === undefined) {
      merged = empty(key, node, parent);
      known.set(key, merged);
      all.push(merged);
      (parent ? parent.children : roots).push(merged);
    }
    add(merged, node);
    placed.set(node, merged);
  }
  for (const merged of all.reverse()) {
    merged.weight_s += merged.self_s;
    merged.children.sort((a, b) => b.weight_s - a.weight_s);
    if (merged.parent) merged.parent.weight_s += merged.weight_s;
  }
  return roots.sort((a, b) => b.weight_s - a.weight_s);
}

/**
 * All of one name in one service taken together, wherever they were called.
 * @param {Trace} trace
 */
export function byName(trace) {
  /** @type {Map<string, Merged>} */
  const known = new Map();
  for (const node of trace.order) {
    const key = `${node.service}\n${node.kind} ${node.name}`;
    let merged = known.get(key);
    if (merged === undefined) known.set(key, (merged = empty(key, node, null)));
    add(merged, node);
  }
  return [...known.values()];
}
