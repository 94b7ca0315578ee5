// @ts-check
// Statistics within a trace: what was called how often, and how long that took.

import { byName } from "./calltree.js";
import { el, fill, make } from "./dom.js";
import { count, duration, percent } from "./format.js";

/** @typedef {import("./calltree.js").Merged} Merged */
/** @typedef {import("./model.js").Trace} Trace */

/** @type {{ key: string, label: string, title?: string, number: boolean, of(row: Merged): number | string, show(row: Merged, trace: Trace): any }[]} */
const COLUMNS = [
  { key: "name", label: "Name", number: false, of: (row) => row.name, show: (row) => row.name },
  { key: "service", label: "Service", number: false, of: (row) => row.service, show: (row) => row.service },
  { key: "count", label: "Calls", number: true, of: (row) => row.nodes.length, show: (row) => count(row.nodes.length) },
  { key: "self", label: "Itself", title: "Time that nothing it called was running", number: true, of: (row) => row.self_s, show: (row, trace) => [duration(row.self_s), trace.duration > 0 && el("span", { class: "muted small", text: ` ${percent(row.self_s / trace.duration)}` })] },
  { key: "total", label: "Together", title: "All calls, also those side by side", number: true, of: (row) => row.total_s, show: (row) => duration(row.total_s) },
  { key: "average", label: "Average", number: true, of: (row) => row.total_s / row.nodes.length, show: (row) => duration(row.total_s / row.nodes.length) },
  { key: "longest", label: "Longest", number: true, of: (row) => row.longest.duration, show: (row) => duration(row.longest.duration) },
  { key: "failed", label: "Failed", number: true, of: (row) => row.failed, show: (row) => (row.failed > 0 ? el("span", { class: "s-fault", text: count(row.failed) }) : "–") },
];
/** A trace of more names than this is shown by the first in the chosen order. */
const MAX_ROWS = 500;

export class TraceStatistics {
  #sort = "self";
  #down = true;
  /** @type {Trace} */
  #trace = /** @type {any} */ (null);
  #onOpen;

  /** `onOpen(node)` for the longest of a row's segments. */
  constructor({ onOpen }) {
    this.#onOpen = onOpen;
    this.element = make("section", { class: "statistics card", "aria-label": "Statistics", tabindex: "0" });
  }

  /** @param {Trace} trace */
  show(trace) {
    this.#trace = trace;
    this.#draw();
  }

  #draw() {
    const { of } = COLUMNS.find(({ key }) => key === this.#sort) ?? COLUMNS[0];
    const rows = byName(this.#trace).sort((a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0) * (this.#down ? -1 : 1));
    const more = rows.length - MAX_ROWS;
    fill(
      this.element,
      el(
        "table",
        { class: "data-table" },
        el("thead", {}, el("tr", {}, COLUMNS.map((column) => this.#head(column)))),
        el("tbody", {}, rows.slice(0, MAX_ROWS).map((row) => this.#row(row))),
      ),
      more > 0 && el("p", { class: "nothing muted", text: `and ${count(more)} more names` }),
    );
  }

  /** @param {(typeof COLUMNS)[0]} column */
  #head({ key, label, title, number }) {
    const chosen = key === this.#sort;
    const sort = () => {
      this.#down = chosen ? !this.#down : number;
      this.#sort = key;
      this.#draw();
    };
    return el(
      "th",
      { key, scope: "col", class: number ? "is-number" : null, "aria-sort": chosen ? (this.#down ? "descending" : "ascending") : null },
      el("button", { type: "button", class: "sort", title, on: { click: sort } }, label, el("span", { class: "sort-mark", "aria-hidden": "true", text: chosen ? (this.#down ? "↓" : "↑") : "" })),
    );
  }

  /** @param {Merged} row */
  #row(row) {
    const cell = (column) => {
      const shown = column.show(row, this.#trace);
      const content = column.key === "name" ? el("button", { type: "button", class: "link-button", title: "The longest of them, in the timeline", text: shown, on: { click: () => this.#onOpen(row.longest) } }) : shown;
      return el("td", { key: column.key, class: column.number ? "is-number" : null }, content);
    };
    return el("tr", { key: row.key }, COLUMNS.map(cell));
  }
}
