// @ts-check
// Clocks that differ: a segment of another machine that cannot have been when it says. Pure.
//
// A call cannot begin before its caller made it, nor after its caller had the answer. Where a segment says so, its clock
// and that of its caller differ at least by as much. It may end after its caller: work that nobody waits for does.

/** @typedef {import("./model.js").TraceNode} TraceNode */

/** Clocks on machines that keep time agree to about this many seconds; less is not worth a word. */
const AGREE_S = 0.001;

/**
 * Sets `skew` (seconds that a segment's clock is ahead of its caller's, negative when it is behind, 0 when they agree) and
 * `shift` (what added to its times makes them those of the clock at the top) of each node; parents come before children.
 * @param {TraceNode[]} order
 */
export function compareClocks(order) {
  for (const node of order) {
    const { parent } = node;
    node.skew = node.kind === "segment" && parent !== null ? skewOf(node, parent) : 0;
    node.shift = (parent?.shift ?? 0) - node.skew;
  }
}

/** @param {TraceNode} node @param {TraceNode} parent */
function skewOf(node, parent) {
  const early = node.start < parent.start - AGREE_S;
  const late = wasAnswered(parent) && node.start > parent.end + AGREE_S;
  if (!early && !late) return 0;
  // The best guess: the way there took as long as the way back. What is longer than its call began with it.
  const room = node.in_progress || parent.in_progress ? 0 : Math.max(0, parent.duration - node.duration);
  return node.start - (parent.start + room / 2);
}

/** Its caller had an answer when it ended, so that what it called had begun. */
function wasAnswered(parent) {
  const { http, namespace } = parent.data;
  return !parent.in_progress && (namespace === "remote" || namespace === "aws") && typeof http?.response?.status === "number";
}
