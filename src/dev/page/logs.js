// @ts-check
// Lines of logs beside a trace, at their time in it.

import { el } from "./dom.js";
import { clock, duration, moment, plural } from "./format.js";
import { longText } from "./json.js";

/** Marks in the timeline; more of them would be a bar. */
const MARKS = 200;

/**
 * @typedef {{ time: number, source: string, level: string | null, text: string, span: string | null }} LogLine
 */

/**
 * The lines in an answer, with fields of the types that are counted on.
 * @returns {LogLine[]}
 */
export function logsOf(answer) {
  const text = (value) => (typeof value === "string" && value !== "" ? value : null);
  const all = Array.isArray(answer?.logs) ? answer.logs : [];
  return all
    .filter((line) => line !== null && typeof line === "object" && Number.isFinite(line.time))
    .map((line) => ({ time: line.time, source: text(line.source) ?? "", level: text(line.level), text: text(line.text) ?? "", span: text(line.span) }));
}

/** The lines in the order of their time; `onSelect(key)` leads to the part that was at work then. */
export function logLines(lines, trace, onSelect) {
  return el(
    "section",
    { class: "logs card", "aria-label": "Logs of this trace" },
    el("h2", {}, "Logs ", el("span", { class: "muted", text: plural(lines.length, "line") })),
    el(
      "ol",
      { class: "log-lines" },
      lines.map((line, at) => {
        const node = nodeAt(line, trace);
        return el(
          "li",
          { key: at, class: `log-line${line.level ? ` is-${levelClass(line.level)}` : ""}` },
          el("span", { class: "log-time", title: moment(line.time), text: offsetOf(line, trace) }),
          el("span", { class: "log-level", text: line.level ?? "" }),
          el("span", { class: "log-text" }, longText(line.text, "")),
          el("span", { class: "log-source muted", text: line.source }),
          node ? el("button", { type: "button", class: "link-button log-node", title: `At work then: ${node.name}`, text: node.name, on: { click: () => onSelect(node.key) } }) : el("span", {}),
        );
      }),
    ),
  );
}

/** Marks for the axis: {at (0 to 1 in the window), level, title}. */
export function logMarks(lines, [from, to]) {
  const inside = to > from ? lines.filter((line) => line.time >= from && line.time <= to) : [];
  return inside.slice(0, MARKS).map((line) => ({ at: (line.time - from) / (to - from), level: levelClass(line.level ?? ""), title: `${clock(line.time)} ${line.level ?? ""} ${line.text.split("\n", 1)[0].slice(0, 120)}` }));
}

function offsetOf(line, trace) {
  const offset = line.time - trace.start;
  return `${offset < 0 ? "−" : "+"}${duration(Math.abs(offset))}`;
}

/** The part that a line names, else the innermost that ran at its time. */
function nodeAt(line, trace) {
  const named = line.span === null ? undefined : trace.byKey.get(line.span);
  if (named) return named;
  /** @type {any} */
  let found = null;
  for (const node of trace.order) {
    if (line.time >= node.start && line.time <= node.end && (found === null || node.depth >= found.depth)) found = node;
  }
  return found;
}

function levelClass(level) {
  if (level === "ERROR" || level === "FATAL") return "error";
  return level === "WARN" ? "warn" : "note";
}
