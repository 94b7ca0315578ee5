// @ts-check
// Operations: what each service is asked for, how often, how well, how fast; a click leads to the traces.

import * as api from "./api.js";
import { el, fill, make } from "./dom.js";
import { count, duration, percent, plural } from "./format.js";
import { healthBar, typeWord } from "./mapdraw.js";
import { SelectionView } from "./selectionview.js";
import { address } from "./spans.js";

/** @typedef {import("./mapdraw.js").Counts & { id: string, service: string, type: string, operation: string, p50_s: number | null, p95_s: number | null, p99_s: number | null, total_s: number }} Operation */

/** @type {{ key: string, label: string, title?: string, number?: boolean, of(row: Operation): number | string, show(row: Operation): any }[]} */
const COLUMNS = [
  { key: "service", label: "Service", of: (row) => row.service, show: (row) => [el("b", { text: row.service }), typeWord(row.type) !== row.service && el("span", { class: "muted small", text: typeWord(row.type) })] },
  { key: "operation", label: "Operation", of: (row) => row.operation, show: (row) => row.operation || "–" },
  { key: "count", label: "Requests", number: true, of: (row) => row.count, show: (row) => count(row.count) },
  { key: "bad", label: "Failed", title: "Faults, throttles and errors", number: true, of: badShare, show: (row) => [el("span", { text: badShare(row) > 0 ? percent(badShare(row)) : "–" }), healthBar(row)] },
  { key: "p50", label: "p50", number: true, of: (row) => row.p50_s ?? -1, show: (row) => duration(row.p50_s ?? NaN) },
  { key: "p95", label: "p95", number: true, of: (row) => row.p95_s ?? -1, show: (row) => duration(row.p95_s ?? NaN) },
  { key: "p99", label: "p99", number: true, of: (row) => row.p99_s ?? -1, show: (row) => duration(row.p99_s ?? NaN) },
  { key: "total", label: "Together", title: "Time of all requests together", number: true, of: (row) => row.total_s, show: (row) => duration(row.total_s) },
];

/** @param {Operation} row */
function badShare(row) {
  return (row.fault + row.throttle + row.error) / (row.count || 1);
}

export class OperationsView extends SelectionView {
  #sort = "total";
  #down = true;
  /** @type {{ operations: Operation[], more: number }} */
  #answer = { operations: [], more: 0 };
  #asked = 0;

  constructor(app) {
    super(app, "#/operations", "Operations");
    this.summary = make("p", { class: "list-summary", role: "status" });
    this.table = make("section", { class: "operations card", "aria-label": "Operations", tabindex: "0" });
    this.element = this.framed("operations-view", make("div", { class: "subbar" }, this.summary), this.table);
  }

  serviceNames() {
    return [...new Set(this.#answer.operations.map(({ service }) => service))].sort();
  }

  async load(selection) {
    const asked = (this.#asked += 1);
    const answer = await api.operations(selection);
    if (asked !== this.#asked) return;
    this.#answer = answer;
    this.#draw();
  }

  #draw() {
    const { operations, more } = this.#answer;
    const { of } = COLUMNS.find(({ key }) => key === this.#sort) ?? COLUMNS[0];
    const by = (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0) * (this.#down ? -1 : 1);
    this.summary.textContent = operations.length === 0 ? "" : `${plural(operations.length, "operation")}${more > 0 ? `, and ${count(more)} that are rarer` : ""}`;
    if (operations.length === 0) {
      fill(this.table, el("p", { class: "nothing muted", text: "No request in this selection." }));
      return;
    }
    fill(
      this.table,
      el(
        "table",
        { class: "data-table" },
        el("thead", {}, el("tr", {}, COLUMNS.map((column) => this.#head(column)))),
        el("tbody", {}, [...operations].sort(by).map((row) => this.#row(row))),
      ),
    );
  }

  /** @param {(typeof COLUMNS)[0]} column */
  #head({ key, label, title, number }) {
    const chosen = key === this.#sort;
    return el(
      "th",
      { key, scope: "col", class: number ? "is-number" : null, "aria-sort": chosen ? (this.#down ? "descending" : "ascending") : null },
      el("button", { type: "button", class: "sort", title, on: { click: () => this.#sortBy(key, number) } }, label, el("span", { class: "sort-mark", "aria-hidden": "true", text: chosen ? (this.#down ? "↓" : "↑") : "" })),
    );
  }

  #sortBy(key, number) {
    this.#down = key === this.#sort ? !this.#down : number === true;
    this.#sort = key;
    this.#draw();
  }

  #row(row) {
    const href = address("#/traces", { filter: this.filter, last: this.span, service: row.id, operation: row.operation });
    return el(
      "tr",
      { key: `${row.id} ${row.operation}` },
      COLUMNS.map((column) =>
        el("td", { key: column.key, class: [column.number && "is-number", column.key === "bad" && badShare(row) > 0 && `s-${row.fault > 0 ? "fault" : row.throttle > 0 ? "throttle" : "error"}`].filter(Boolean).join(" ") }, column.key === "operation" ? el("a", { href, class: "operation-link", text: column.show(row), title: "List its traces" }) : column.show(row)),
      ),
    );
  }

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key !== "/") return false;
    this.filterBox.focus();
    return true;
  }
}
