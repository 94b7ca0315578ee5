// @ts-check
// Annotations as columns of the list: which ones, kept by the browser for the next visit.

import { el } from "./dom.js";
import { showDialog } from "./shortcuts.js";

const KEY = "xray-columns";
/** More leave no room for the request itself. */
const MAX_COLUMNS = 5;

/** The keys that were chosen. */
export function chosenColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((key) => typeof key === "string").slice(0, MAX_COLUMNS) : [];
  } catch {
    return []; // storage may be blocked, or what is in it is not ours
  }
}

/** Lets the reader choose among `known` keys; `onChange(keys)` with each choice. */
export function chooseColumns(known, onChange) {
  const chosen = chosenColumns();
  const all = [...new Set([...chosen, ...known])].sort();
  const change = (event, key) => {
    const at = chosen.indexOf(key);
    if (at >= 0) chosen.splice(at, 1);
    else if (chosen.length < MAX_COLUMNS) chosen.push(key);
    event.currentTarget.checked = chosen.includes(key);
    try {
      localStorage.setItem(KEY, JSON.stringify(chosen));
    } catch {
      // The choice then lasts as long as the page.
    }
    onChange([...chosen]);
  };
  showDialog(
    "Columns",
    el("p", { class: "muted", text: all.length === 0 ? "No trace in the list has annotations." : `Annotations that the list shows as columns, at most ${MAX_COLUMNS}:` }),
    el(
      "ul",
      { class: "choices" },
      all.map((key) => el("li", { key }, el("label", {}, el("input", { type: "checkbox", checked: chosen.includes(key), on: { change: (event) => change(event, key) } }), " ", el("code", { text: key })))),
    ),
  );
}
