// @ts-check
// One row of the timeline: a name in the tree, a bar in time.

import { exceptionOf, selfStretches } from "./analysis.js";
import { el } from "./dom.js";
import { duration, firstLine } from "./format.js";
import { NEVER_ENDED_AFTER_S, healthOf, healthWord, progressWord, statusHealth } from "./health.js";
import { icon } from "./icons.js";
import { kindOf, statusOf, subtitle } from "./model.js";
import { place } from "./timescale.js";

/** Pixels. */
export const BAR_ROW_HEIGHT = 30;
const COLOURS = 8;
const FULL_INDENT_LEVELS = 8;
/** More stretches than this in one bar would be thinner than a pixel each. */
const MAX_PIECES = 80;

/** The colour class of a service: by its place in the trace, so neighbours differ. */
export function colourOf(trace, service) {
  return `c${trace.services.indexOf(service) % COLOURS}`;
}

/** Indentation in pixels: full steps at first, then small ones, so that deep trees keep room for names. */
export function indentOf(depth) {
  return Math.min(depth, FULL_INDENT_LEVELS) * 14 + Math.min(24, Math.max(0, depth - FULL_INDENT_LEVELS)) * 3;
}

/** `context`: trace, path (critical path), window, collapsed (keys), matches (Set of keys or null). */
export function barRow(node, context) {
  const health = healthOf(node);
  const { trace, collapsed, matches } = context;
  const open = !collapsed.has(node.key);
  const classes = ["bar-row", `h-${health}`, colourOf(trace, node.service), `kind-${node.kind}`];
  if (matches !== null) classes.push(matches.has(node.key) ? "is-match" : "is-dim");
  const siblings = node.parent?.children ?? trace.roots;
  return el(
    "div",
    {
      class: classes.join(" "),
      role: "treeitem",
      "data-id": node.id,
      "aria-level": node.depth + 1,
      "aria-posinset": siblings.indexOf(node) + 1,
      "aria-setsize": siblings.length,
      "aria-expanded": node.children.length > 0 ? String(open) : null,
    },
    el("span", { class: "sr-only", text: spoken(node, health, trace) }),
    nameCell(node, health, open, trace),
    el("div", { class: "lane", "aria-hidden": "true" }, lane(node, health, context)),
  );
}

function nameCell(node, health, open, trace) {
  const extra = subtitle(node);
  const status = statusOf(node);
  const children = node.children.length;
  return el(
    "div",
    { class: "bar-name", "aria-hidden": "true", css: { "padding-left": `calc(8px + ${indentOf(node.depth)} * var(--indent))` } },
    children > 0 ? el("span", { class: `chevron${open ? " is-open" : ""}`, "aria-hidden": "true" }, icon("chevron", 12)) : el("span", { class: "chevron-space" }),
    el("span", { class: "kind" }, icon(kindOf(node), 14)),
    el("span", { class: "bar-title", title: extra ? `${node.name} – ${firstLine(extra)}` : node.name }, el("span", { class: "name", text: node.name }), extra && el("span", { class: "subtitle", text: firstLine(extra) })),
    !open && el("span", { class: "count-badge", text: `+${countBelow(node)}` }),
    node.orphan && trace.roots.length > 1 && el("span", { class: "tag tag-plain", title: "Its parent has not arrived", text: "no parent" }),
    status !== null && statusHealth(status) !== "ok" && el("span", { class: `tag tag-${statusHealth(status)}`, text: status }),
    health !== "ok" && (status === null || statusHealth(status) === "ok") && el("span", { class: `tag tag-${health}`, text: health === "progress" ? progressWord(node.duration) : healthWord(health) }),
    node.skew !== 0 && el("span", { class: "tag tag-clock", title: skewSentence(node), text: `clock ${skewText(node.skew)}` }),
  );
}

function countBelow(node) {
  let n = 0;
  const stack = [...node.children];
  while (stack.length > 0) {
    n += 1;
    stack.push(...stack.pop().children);
  }
  return n;
}

function lane(node, health, { window, path }) {
  const spot = place(node.start, node.end, window);
  if (spot === null) return outOfSight(node, window);
  const piece = (className, [from, to]) => {
    const at = place(from, to, window);
    return at && el("span", { class: className, css: shareStyle(at) });
  };
  const self = node.children.length === 0 ? [[node.start, node.end]] : thin(selfStretches(node), window);
  const critical = thin(path.get(node.key) ?? [], window);
  return [
    el("span", { class: `bar${node.in_progress ? " is-open-ended" : ""}`, css: shareStyle(spot) }),
    self.map((stretch) => piece("bar-self", stretch)),
    critical.map((stretch) => piece("bar-critical", stretch)),
    health !== "ok" && health !== "progress" && el("span", { class: `bar-frame frame-${health}`, css: shareStyle(spot) }),
    label(node, spot),
  ];
}

/** Which way a bar lies that is not in the window, and why where its clock is the reason. */
function outOfSight(node, [from]) {
  const left = node.end < from;
  const far = node.shift !== 0 ? ` ${duration(Math.abs(node.shift))} ${left ? "early" : "late"} by its clock ` : "";
  return el("span", { class: `out-of-sight ${left ? "to-left" : "to-right"}`, text: left ? `‹${far}` : `${far}›` });
}

/** "5.00 s behind" */
export function skewText(skew_s) {
  return `${duration(Math.abs(skew_s))} ${skew_s < 0 ? "behind" : "ahead"}`;
}

/** What is known of a segment whose clock differs from that of its caller. */
export function skewSentence(node) {
  const why = node.skew < 0 ? "it says that it began before it was called" : "it says that it began after its caller had the answer";
  return `The clock of ${node.service} is about ${skewText(node.skew)} that of its caller: ${why}.`.replace("ahead that", "ahead of that");
}

/** What took how long, also before it has ended. */
export function tookText(node) {
  if (!node.in_progress) return duration(node.duration);
  const never = node.duration >= NEVER_ENDED_AFTER_S ? ", never ended?" : "";
  return `${duration(node.duration)} so far${never}`;
}

/** Stretches too thin to see are left out where there are very many. */
function thin(stretches, [from, to]) {
  if (stretches.length <= MAX_PIECES) return stretches;
  return stretches.filter(([a, b]) => b - a >= (to - from) / 1000);
}

function shareStyle({ left, width }) {
  return { left: `${(left * 100).toFixed(4)}%`, width: `${(width * 100).toFixed(4)}%` };
}

function label(node, { left, width }) {
  const right = left + width;
  const text = tookText(node);
  if (right < 0.84) return el("span", { class: "bar-label", css: { left: `${(Math.max(0, right) * 100).toFixed(4)}%` }, text });
  if (left > 0.16) return el("span", { class: "bar-label is-before", css: { right: `${((1 - left) * 100).toFixed(4)}%` }, text });
  return el("span", { class: "bar-label is-inside", css: { left: `calc(${(Math.max(0, left) * 100).toFixed(4)}% + 5px)` }, text });
}

function spoken(node, health, trace) {
  const parts = [node.name, subtitle(node) && firstLine(subtitle(node), 80)];
  if (health !== "ok") parts.push(healthWord(health).toLowerCase());
  if (node.skew !== 0) parts.push(`clock ${skewText(node.skew)}`);
  parts.push(tookText(node), `starts at ${duration(node.start - trace.start)}`);
  return parts.filter(Boolean).join(", ");
}

/** What hovering a row tells. */
export function tooltipOf(node, trace, self_s) {
  const line = (name, value) => el("div", { class: "tip-line" }, el("span", { class: "tip-key", text: name }), el("span", { text: value }));
  const failed = exceptionOf(node, trace);
  const status = statusOf(node);
  return [
    el("div", { class: "tip-title", text: node.name }),
    subtitle(node) && el("div", { class: "tip-sub", text: firstLine(subtitle(node), 160) }),
    line("took", tookText(node)),
    node.children.length > 0 && line("of that itself", duration(self_s)),
    line("from", `${duration(node.start - trace.start)} to ${node.in_progress ? "now" : duration(node.end - trace.start)}`),
    node.kind === "subsegment" && line("in", node.service),
    node.skew !== 0 && line("clock", skewText(node.skew)),
    status !== null && line("status", String(status)),
    failed && el("div", { class: "tip-error", text: firstLine([failed.exception.type, failed.exception.message].filter((part) => typeof part === "string").join(": "), 200) }),
  ];
}
