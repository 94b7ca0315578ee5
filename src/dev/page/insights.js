// @ts-check
// The two or three sentences a reader wants first: where it failed, where the time went, what stands out.

import { exceptionOf, failures, hotspots, longestGap, repeats } from "./analysis.js";
import { colourOf } from "./bars.js";
import { el } from "./dom.js";
import { duration, firstLine, percent, plural } from "./format.js";
import { healthOf, healthWord } from "./health.js";
import { statusOf, subtitle } from "./model.js";

const FAILURES_SHOWN = 2;
/** Repeated calls are worth a word when they take this share of the trace, or are this many. */
const REPEATS_FROM_SHARE = 0.05;
const REPEATS_FROM_CALLS = 20;

/** The cards above the timeline; `onSelect(key)` leads to the row. */
export function insights(trace, path, onSelect) {
  return [failureCard(trace, onSelect), timeCard(trace, path, onSelect), noticeCard(trace, onSelect), hintCard(trace, onSelect)];
}

/** What probably went wrong in who sent the trace, and what to do about it. */
function hintCard(trace, onSelect) {
  if (trace.hints.length === 0) return null;
  return el(
    "section",
    { class: "insight insight-hints", "aria-label": "Hints" },
    el("h2", { text: trace.hints.length === 1 ? "A hint" : `${trace.hints.length} hints` }),
    trace.hints.map((hint, at) => {
      const target = hint.segments.find((id) => trace.byKey.has(id));
      return el(
        "p",
        { key: at, class: "hint-line", "data-code": hint.code },
        isolated(hint.text),
        target !== undefined && el("button", { type: "button", class: "link-button", text: "Show", "aria-label": `Show what this hint is about: ${trace.byKey.get(target).name}`, on: { click: () => onSelect(target) } }),
      );
    }),
  );
}

/** Names in quotes keep the direction of their writing to themselves. */
function isolated(text) {
  return text.split(/("[^"]*")/).map((part) => (part.startsWith('"') ? el("bdi", { text: part }) : part));
}

function failureCard(trace, onSelect) {
  const found = failures(trace);
  if (found.length === 0) return null;
  const worst = healthOf(found[0]);
  const rest = found.length - FAILURES_SHOWN;
  return el(
    "section",
    { class: `insight insight-${worst}`, "aria-label": "Where it failed" },
    el("h2", { text: found.length === 1 ? "Failed here" : `Failed in ${found.length} places` }),
    found.slice(0, FAILURES_SHOWN).map((node) => failureLine(node, trace, onSelect)),
    rest > 0 && el("p", { class: "muted small", text: `${plural(rest, "more", "more")}; press e to step through them` }),
  );
}

function failureLine(node, trace, onSelect) {
  const found = exceptionOf(node, trace);
  const status = statusOf(node);
  const where = node.kind === "segment" ? node.name : `${node.service} › ${node.name}`;
  const said = found ? [found.exception.type, found.exception.message].filter((part) => typeof part === "string" && part !== "").join(": ") : subtitle(node);
  return el(
    "button",
    { type: "button", class: "insight-line", on: { click: () => onSelect(node.key) } },
    el("span", { class: `tag tag-${healthOf(node)}`, text: status !== null && status >= 400 ? status : healthWord(healthOf(node)) }),
    el("span", { class: "insight-where", text: where }),
    said && el("span", { class: "insight-said", text: firstLine(said, 240) }),
  );
}

function timeCard(trace, path, onSelect) {
  const spots = hotspots(trace, path);
  if (spots.length === 0) return null;
  const rest = 1 - spots.reduce((sum, spot) => sum + spot.share, 0);
  return el(
    "section",
    { class: "insight insight-time", "aria-label": "Where the time went" },
    el("h2", {}, "Where the time went", el("span", { class: "muted", text: ` of ${duration(trace.entry.duration)}` })),
    el(
      "div",
      { class: "share-bar", "aria-hidden": "true" },
      spots.map((spot, at) => el("span", { class: `share ${colourOf(trace, spot.node.service)} tone-${at}`, css: { "flex-grow": spot.share } })),
      rest > 0.005 && el("span", { class: "share share-rest", css: { "flex-grow": rest } }),
    ),
    el(
      "div",
      { class: "share-legend" },
      spots.map((spot, at) =>
        el(
          "button",
          { type: "button", class: "share-item", title: `${spot.label}: ${duration(spot.seconds)} of its own on the critical path`, on: { click: () => onSelect(spot.node.key) } },
          el("span", { class: `swatch ${colourOf(trace, spot.node.service)} tone-${at}`, "aria-hidden": "true" }),
          el("span", { class: "share-label", text: spot.label }),
          spot.calls > 1 && el("span", { class: "muted", text: `×${spot.calls}` }),
          el("b", { text: percent(spot.share) }),
        ),
      ),
    ),
  );
}

function noticeCard(trace, onSelect) {
  const repeated = repeats(trace).find((group) => group.n >= REPEATS_FROM_CALLS || group.seconds >= trace.duration * REPEATS_FROM_SHARE);
  const gap = longestGap(trace);
  if (!repeated && !gap) return null;
  const line = (key, ...content) => el("button", { type: "button", class: "insight-line", on: { click: () => onSelect(key) } }, content);
  return el(
    "section",
    { class: "insight insight-notice", "aria-label": "Worth a look" },
    el("h2", { text: "Worth a look" }),
    repeated && line(repeated.first.key, el("span", { class: "insight-where", text: `${repeated.n} × ${repeated.first.name}` }), el("span", { class: "insight-said", text: `called again and again by ${repeated.parent.name}, ${duration(repeated.seconds)} together` })),
    gap && line(gap.node.key, el("span", { class: "insight-where", text: `${duration(gap.to - gap.from)} unaccounted for` }), el("span", { class: "insight-said", text: `in ${gap.node.name}, at ${duration(gap.from - trace.start)}: nothing it called was running` })),
  );
}
