// @ts-check
// JSON for reading: a tree that unfolds on demand, and a document's own text, indented without touching a token.

import { Component, el } from "./dom.js";
import { count } from "./format.js";
import { isObject, LongNumber } from "./model.js";

const ENTRIES_AT_ONCE = 100;
const LONG_TEXT = 600;

/** An object or array as lines that unfold, the first `open` levels at once. */
export function jsonTree(value, { open = 1 } = {}) {
  return el("div", { class: "json" }, el(Entries, { entries: entriesOf(value), open }));
}

function entriesOf(value) {
  return Array.isArray(value) ? value.map((item, index) => [String(index), item]) : Object.entries(value);
}

/** The first of many entries, and more when asked for, so that size does not matter. */
class Entries extends Component {
  state = { shown: ENTRIES_AT_ONCE };

  render({ entries, open }, { shown }) {
    const rest = entries.length - shown;
    return [
      entries.slice(0, shown).map(([key, value]) => entry(key, value, open)),
      rest > 0 && el("button", { type: "button", class: "link-button", text: `${count(rest)} more`, on: { click: () => this.setState({ shown: shown + ENTRIES_AT_ONCE }) } }),
    ];
  }
}

function entry(key, value, open) {
  if (isObject(value) || Array.isArray(value)) return el(Branch, { key, name: key, value, open });
  return el("div", { key, class: "json-line" }, el("span", { class: "json-key", text: key }), scalar(value));
}

/** What is inside is made when it is opened. */
class Branch extends Component {
  state = { opened: this.props.open > 0 && entriesOf(this.props.value).length <= ENTRIES_AT_ONCE };

  render({ name, value, open }, { opened }) {
    const entries = entriesOf(value);
    const note = Array.isArray(value) ? `[${count(entries.length)}]` : `{${count(entries.length)}}`;
    return el(
      "details",
      { class: "json-branch", open: opened, on: { toggle: (event) => this.setState({ opened: event.currentTarget.open }) } },
      el("summary", {}, el("span", { class: "json-key", text: name }), el("span", { class: "json-note", text: note })),
      opened && el("div", { class: "json-inner" }, el(Entries, { entries, open: open - 1 })),
    );
  }
}

/** A value by its type; long text is cut until asked for. */
export function scalar(value) {
  if (value instanceof LongNumber) return el("span", { class: "json-number", text: value.text });
  if (typeof value !== "string") return el("span", { class: `json-${value === null ? "null" : typeof value}`, text: String(value) });
  return longText(value, "json-string");
}

/** Text that may be very long. */
export function longText(text, className) {
  if (text.length <= LONG_TEXT) return el("span", { class: className, text });
  return el(LongText, { text, className });
}

class LongText extends Component {
  state = { all: false };

  render({ text, className }, { all }) {
    if (all) return el("span", { class: className, text });
    return el(
      "span",
      {},
      el("span", { class: className, text: `${text.slice(0, LONG_TEXT)}…` }),
      " ",
      el("button", { type: "button", class: "link-button", text: `show all ${count(text.length)} characters`, on: { click: () => this.setState({ all: true }) } }),
    );
  }
}

/**
 * JSON text with line breaks and indentation. Works on the text, not on parsed values, so that numbers, escapes and
 * the order and repetition of keys stay as they were sent.
 */
export function indent(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? [];
  let depth = 0;
  let out = "";
  const line = () => `\n${"  ".repeat(Math.max(0, depth))}`;
  tokens.forEach((token, at) => {
    if (token === "{" || token === "[") {
      const empty = tokens[at + 1] === "}" || tokens[at + 1] === "]";
      depth += 1;
      out += empty ? token : token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const empty = tokens[at - 1] === "{" || tokens[at - 1] === "[";
      out += empty ? token : line() + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}

/** A document's text, indented, made when its section is opened. */
export function rawDocument(text) {
  return el("pre", { class: "raw", tabindex: "0", "aria-label": "Raw JSON" }, el("code", { text: indent(text) }));
}
