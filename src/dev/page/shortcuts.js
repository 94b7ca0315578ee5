// @ts-check
// Dialogs: the keys and the filter language at a glance, and whatever else wants one.

import { el, fill, make } from "./dom.js";
import { icon } from "./icons.js";

/** @type {[string, string[][]][]} */
const KEYS = [
  ["Everywhere", [["/", "filter, or find in a trace"], ["Ctrl V", "open a trace by its id"], ["l", "list of traces"], ["m", "service map"], ["o", "operations"], ["t", "theme"], ["?", "this help"]]],
  ["List", [["↑ ↓", "move"], ["Enter", "open the trace"], ["p", "pause, go on"], ["u", "undo clearing, for ten seconds"], ["Esc", "clear the filter"]]],
  ["Trace", [["↑ ↓", "move"], ["→ ←", "unfold, fold; to the child, to the parent"], ["e", "next failure"], ["+ - 0", "closer, further, all"], ["Shift → ←", "move in time"], ["Esc", "back to the list"]]],
  ["Map", [["f", "find a service"], ["↑ ↓ → ←", "to the next service"], ["Enter", "choose it"], ["+ - 0", "closer, further, all"]]],
];

const FILTERS = [
  ["checkout gold", "words that the trace mentions: URL, name, service, user, values of annotations, exceptions"],
  ["fault", "failed on the server: 5xx, or an exception nobody handled"],
  ["error OR throttle", "refused: 4xx, 429"],
  ["responsetime >= 0.5", "half a second and more until the response"],
  ["duration < 1", "the whole trace within a second"],
  ['http.url CONTAINS "/checkout"', "also http.method, http.status, http.clientip, http.useragent"],
  ["http.status >= 500 AND NOT http.method = \"GET\"", "AND, OR, NOT and brackets"],
  ['service("orders")', "passed through a service"],
  ['service("orders") { fault }', "and failed there"],
  ["service() { fault }", "failed anywhere, handled or not"],
  ['edge("web", "orders") { responsetime > 0.2 }', "a slow call from one to another"],
  ['annotation.customer = "c-17"', "by what your code noted; annotation[\"odd key\"] for other keys"],
  ['user = "alice"', "by user"],
];

export function showShortcuts() {
  showDialog(
    "Keys and filters",
    el(
      "div",
      { class: "key-groups" },
      KEYS.map(([title, keys]) => el("section", {}, el("h3", { text: title }), el("dl", { class: "keys" }, keys.map(([key, what]) => [el("dt", {}, key.split(" ").map((one) => el("kbd", { text: one }))), el("dd", { text: what })])))),
    ),
    el("h3", { text: "Filter expressions" }),
    el("p", { class: "muted small", text: "The language of X-Ray; Enter applies. Times are in seconds." }),
    el("dl", { class: "filter-help" }, FILTERS.map(([filter, what]) => [el("dt", {}, el("code", { text: filter })), el("dd", { text: what })])),
  );
}

/** Asks before something is done; true when the reader says `yes`. */
export function ask(title, text, yes) {
  const { promise, resolve } = Promise.withResolvers();
  const answer = (said) => {
    resolve(said);
    dialog.close();
  };
  const button = (label, said, extra = {}) => el("button", { type: "button", class: "button", text: label, on: { click: () => answer(said) }, ...extra });
  const dialog = showDialog(title, el("p", { text }), el("p", { class: "dialog-actions" }, button("Cancel", false, { autofocus: true }), button(yes, true, { class: "button danger" })));
  dialog.addEventListener("close", () => resolve(false));
  return promise;
}

/** A modal dialog that Escape, its button and a click beside it close. */
export function showDialog(title, ...content) {
  const dialog = make("dialog", { class: "dialog", "aria-label": title });
  const close = el("button", { type: "button", class: "icon-button", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("close"));
  fill(dialog, el("header", { class: "dialog-head" }, el("h2", { text: title }), close), el("div", { class: "dialog-body" }, content));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
