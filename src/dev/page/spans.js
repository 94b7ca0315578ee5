// @ts-check
// Spans of time to choose from, counted back from now.

import { make } from "./dom.js";

const SPANS = [
  ["", "All that is stored"],
  ["300", "Last 5 minutes"],
  ["900", "Last 15 minutes"],
  ["3600", "Last hour"],
  ["86400", "Last day"],
];

/** The span of an address, or "" for all. */
export function spanOf(query) {
  const last = query.get("last") ?? "";
  return SPANS.some(([value]) => value === last) ? last : "";
}

/** When a span began, in seconds since 1970; null for all. */
export function startOf(span) {
  return span === "" ? null : Date.now() / 1000 - Number(span);
}

/** A field to choose a span with; `onChoose(span)`. */
export function spanSelect(onChoose) {
  const select = make(
    "select",
    { class: "select", "aria-label": "Time span", on: { change: () => onChoose(select.value) } },
    SPANS.map(([value, label]) => make("option", { value, text: label })),
  );
  return select;
}

/** An address of this page: the parameters that say something. */
export function address(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
