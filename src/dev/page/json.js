// JSON for reading: a tree that unfolds on demand, and a document's own text, indented without touching a token.

import { el, fill } from "./dom.js";
import { count } from "./format.js";
import { isObject, LongNumber } from "./model.js";

const ENTRIES_AT_ONCE = 100;
const LONG_TEXT = 600;

/** An object or array as lines that unfold. Children are made when they are opened, so size does not matter. */
export function jsonTree(value, { open = 1 } = {}) {
  const list = el("div", { class: "json" });
  showEntries(list, entriesOf(value), 0, open);
  return list;
}

function entriesOf(value) {
  return Array.isArray(value) ? value.map((item, index) => [String(index), item]) : Object.entries(value);
}

function showEntries(list, entries, from, open) {
  const upTo = Math.min(entries.length, from + ENTRIES_AT_ONCE);
  for (const [key, value] of entries.slice(from, upTo)) list.append(entry(key, value, open));
  if (upTo >= entries.length) return;
  const more = el("button", { type: "button", class: "link-button", text: `${count(entries.length - upTo)} more` });
  more.addEventListener("click", () => {
    more.remove();
    showEntries(list, entries, upTo, open);
  });
  list.append(more);
}

function entry(key, value, open) {
  const name = el("span", { class: "json-key", text: key });
  if (!isObject(value) && !Array.isArray(value)) return el("div", { class: "json-line" }, name, scalar(value));
  const entries = entriesOf(value);
  const note = Array.isArray(value) ? `[${count(entries.length)}]` : `{${count(entries.length)}}`;
  const inner = el("div", { class: "json-inner" });
  const details = el("details", { class: "json-branch" }, el("summary", {}, name, el("span", { class: "json-note", text: note })), inner);
  const show = () => inner.childElementCount === 0 && showEntries(inner, entries, 0, open - 1);
  details.addEventListener("toggle", () => details.open && show());
  if (open > 0 && entries.length <= ENTRIES_AT_ONCE) {
    show();
    details.open = true;
  }
  return details;
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
  const body = el("span", { class: className, text: `${text.slice(0, LONG_TEXT)}…` });
  const all = el("button", { type: "button", class: "link-button", text: `show all ${count(text.length)} characters` });
  all.addEventListener("click", () => {
    body.textContent = text;
    all.remove();
  });
  return el("span", {}, body, " ", all);
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
  const code = el("code", {});
  fill(code, indent(text));
  return el("pre", { class: "raw", tabindex: "0", "aria-label": "Raw JSON" }, code);
}
