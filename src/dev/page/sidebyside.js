// @ts-check
// Two traces as one tree: what has the same name at the same place is one row. Pure.

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */
/** @typedef {{ key: string, depth: number, a: TraceNode | null, b: TraceNode | null, difference_s: number | null, mark: "slower" | "faster" | null }} Row */

/** A difference is marked from this share of the time before, and of the whole trace. */
const MARK_FROM_SHARE = 0.1;
const MARK_FROM_TRACE_SHARE = 0.01;

/**
 * The rows in the order of the tree. Of several calls of one name under one caller, the first is beside the first.
 * @param {Trace} a
 * @param {Trace} b
 * @returns {Row[]}
 */
export function sideBySide(a, b) {
  const least_s = Math.max(a.duration, b.duration) * MARK_FROM_TRACE_SHARE;
  /** @type {Row[]} */
  const rows = [];
  /** @type {[TraceNode | null, TraceNode | null, number][]} */
  const stack = pairs(a.roots, b.roots).map(([one, other]) => /** @type {[TraceNode | null, TraceNode | null, number]} */ ([one, other, 0])).reverse();
  while (stack.length > 0) {
    const [one, other, depth] = /** @type {(typeof stack)[0]} */ (stack.pop());
    const difference_s = one !== null && other !== null && !one.in_progress && !other.in_progress ? other.duration - one.duration : null;
    const marked = difference_s !== null && one !== null && Math.abs(difference_s) >= Math.max(least_s, one.duration * MARK_FROM_SHARE);
    rows.push({ key: `${one?.key ?? ""} ${other?.key ?? ""}`, depth, a: one, b: other, difference_s, mark: marked ? (Number(difference_s) > 0 ? "slower" : "faster") : null });
    for (const [left, right] of pairs(one?.children ?? [], other?.children ?? []).reverse()) stack.push([left, right, depth + 1]);
  }
  return rows;
}

/**
 * Nodes of one name, the first beside the first, in the order of the left ones; what is on the right only comes where it was.
 * @param {TraceNode[]} left
 * @param {TraceNode[]} right
 * @returns {[TraceNode | null, TraceNode | null][]}
 */
function pairs(left, right) {
  const name = (node) => `${node.kind} ${node.name}`;
  /** @type {Map<string, TraceNode[]>} */
  const waiting = new Map();
  for (const node of right) waiting.set(name(node), [...(waiting.get(name(node)) ?? []), node]);
  /** @type {[TraceNode | null, TraceNode | null][]} */
  const found = left.map((node) => [node, waiting.get(name(node))?.shift() ?? null]);
  const taken = new Set(found.map(([, other]) => other));
  right.forEach((node, at) => {
    if (taken.has(node)) return;
    const before = right[at - 1];
    const place = before === undefined ? -1 : found.findIndex(([, other]) => other === before);
    found.splice(place + 1, 0, [null, node]);
  });
  return found;
}
