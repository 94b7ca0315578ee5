// @ts-check
// Two traces side by side: what has the same name at the same place is one row, with both times and the difference.

import * as api from "./api.js";
import { colourOf, indentOf } from "./bars.js";
import { el, fill, make, throttle } from "./dom.js";
import { duration, moment, percent } from "./format.js";
import { healthOf, healthWord } from "./health.js";
import { icon } from "./icons.js";
import { buildTrace, isObject, statusOf, subtitle, textOf } from "./model.js";
import { normalise, secondsOf } from "./rowstore.js";
import { requestOf } from "./rows.js";
import { showDialog } from "./shortcuts.js";
import { sideBySide } from "./sidebyside.js";
import { VirtualList } from "./virtual.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */
/** @typedef {import("./sidebyside.js").Row} Row */

const ROW_HEIGHT = 34;
/** A trace that is still growing is read again at most this often. */
const REREAD_MS = 1000;
/** Traces that are offered for a comparison, and among how many they are looked for. */
const OFFERED = 12;
const LOOKED_AT = 200;

export class CompareView {
  #app;
  #ids = ["", ""];
  /** @type {(Trace | null)[]} */
  #traces = [null, null];

  /** `app`: go(hash), back(), connect(url, view). */
  constructor(app) {
    this.#app = app;
    this.head = make("header", { class: "compare-head" });
    this.rows = new VirtualList({
      rowHeight: ROW_HEIGHT,
      role: "listbox",
      label: "Segments of both traces",
      keyOf: (row) => row.key,
      render: (row) => this.#row(row),
      onActivate: (row) => this.#open(row),
    });
    this.columns = make("div", { class: "compare-row compare-columns", "aria-hidden": "true" });
    fill(this.columns, ["Segment", "Time", "A", "B", "Difference"].map((text) => el("span", { text })));
    this.body = make("section", { class: "compare card", "aria-label": "Segments of both traces" }, this.columns, this.rows.viewport);
    this.message = make("div", { class: "placeholder", hidden: true });
    this.element = make("div", { class: "view compare-view" }, this.head, this.body, this.message);
    this.reread = throttle(() => this.sync().catch(() => {}), REREAD_MS);
  }

  async show(ids) {
    document.title = "Two traces · X-Ray dev";
    this.#ids = ids;
    await this.sync().catch(() => {});
    this.#app.connect(api.eventsUrl({}), this);
  }

  /** Reads both anew. */
  async sync() {
    const ids = this.#ids;
    const read = async (id) => {
      try {
        return buildTrace(await api.trace(id), { now: Date.now() / 1000 });
      } catch (error) {
        if (error instanceof api.ApiError && error.status !== 0) return null;
        throw error;
      }
    };
    const traces = await Promise.all(ids.map(read));
    if (ids !== this.#ids) return;
    this.#traces = traces;
    this.#draw();
  }

  #draw() {
    const [a, b] = this.#traces;
    const missing = this.#ids.filter((_, at) => this.#traces[at] === null || this.#traces[at]?.order.length === 0);
    this.body.hidden = this.head.hidden = missing.length > 0;
    this.message.hidden = missing.length === 0;
    if (a === null || b === null || missing.length > 0) {
      fill(this.message, el("h1", { text: "Not in the store" }), missing.map((id) => el("p", {}, el("code", { text: id }))), el("button", { type: "button", class: "button", text: "All traces", on: { click: () => this.#app.go("#/traces") } }));
      return;
    }
    fill(
      this.head,
      el("button", { type: "button", class: "icon-button back", "aria-label": "Back (Escape)", title: "Back (Escape)", on: { click: () => this.#app.back() } }, icon("back")),
      el("h1", { class: "sr-only", text: "Two traces side by side" }),
      el("div", { class: "compare-traces" }, title("A", a), title("B", b)),
      el("p", { class: "compare-sum" }, differenceText(b.entry.duration - a.entry.duration, a.entry.duration)),
      el("button", { type: "button", class: "button small", text: "Swap", on: { click: () => this.#app.go(`#/compare/${encodeURIComponent(this.#ids[1])}/${encodeURIComponent(this.#ids[0])}`) } }),
    );
    this.rows.setItems(sideBySide(a, b));
    this.rows.refresh();
  }

  /** @param {Row} row */
  #row(row) {
    const { a, b, depth, difference_s, mark } = row;
    const [left, right] = /** @type {Trace[]} */ (this.#traces);
    const node = /** @type {TraceNode} */ (a ?? b);
    const most = Math.max(left.duration, right.duration) || 1;
    const bar = (one, trace) => one && el("span", { class: `compare-bar ${colourOf(left, one.service)}`, css: { left: `${(Math.max(0, (one.start - trace.start) / most) * 100).toFixed(3)}%`, width: `${(Math.min(1, one.duration / most) * 100).toFixed(3)}%` } });
    const only = a === null ? "only in B" : b === null ? "only in A" : null;
    const health = [a, b].map((one) => (one === null ? "ok" : healthOf(one)));
    const changed = only === null && health[0] !== health[1];
    const difference = only ?? differenceText(difference_s, a?.duration ?? 0);
    const said = [node.name, a && `A ${duration(a.duration)}`, b && `B ${duration(b.duration)}`, difference, changed && `A ${healthWord(health[0])}, B ${healthWord(health[1])}`].filter(Boolean).join(", ");
    return el(
      "div",
      { class: `compare-row${mark ? ` is-${mark}` : ""}${only ? " is-only" : ""}`, role: "option", "aria-selected": "false", "data-mark": only ?? mark ?? "same" },
      el("span", { class: "sr-only", text: said }),
      el("span", { class: "compare-name", "aria-hidden": "true", title: node.name, css: { "padding-left": `${indentOf(depth)}px` } }, el("span", { class: "name", text: node.name }), el("span", { class: "subtitle muted small", text: subtitle(node) }), health.map((one, at) => (changed || at === 0) && one !== "ok" && el("span", { class: `tag tag-${one}`, text: changed ? `${"AB"[at]} ${healthWord(one)}` : healthWord(one) }))),
      el("span", { class: "compare-lanes", "aria-hidden": "true" }, el("span", { class: "compare-lane" }, bar(a, left)), el("span", { class: "compare-lane is-b" }, bar(b, right))),
      el("span", { class: "compare-number", "aria-hidden": "true", text: a ? duration(a.duration) : "–" }),
      el("span", { class: "compare-number", "aria-hidden": "true", text: b ? duration(b.duration) : "–" }),
      el("span", { class: "compare-number compare-difference", "aria-hidden": "true", text: difference }),
    );
  }

  /** The row's segment in its trace. @param {Row} row */
  #open(row) {
    const at = row.a === null ? 1 : 0;
    const node = row.a ?? row.b;
    this.#app.go(`#/trace/${encodeURIComponent(this.#ids[at])}${node?.id ? `?segment=${encodeURIComponent(node.id)}` : ""}`);
  }

  onTrace(row) {
    if (this.#ids.includes(row.id)) this.reread();
  }

  onGone() {}

  onReset() {
    this.reread();
  }

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key === "Escape") this.#app.back();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") return this.rows.focus();
    else return false;
    return true;
  }
}

/** @param {string} letter @param {Trace} trace */
function title(letter, trace) {
  const { entry } = trace;
  const http = isObject(entry.data.http) && isObject(entry.data.http.request) ? entry.data.http.request : {};
  const { path } = requestOf({ url: textOf(http.url), name: entry.name });
  const status = statusOf(entry);
  return el(
    "p",
    {},
    el("b", { class: "compare-letter", text: letter }),
    el("a", { href: `#/trace/${encodeURIComponent(trace.id)}` }, [textOf(http.method), path].filter(Boolean).join(" ")),
    el("span", { class: "muted", text: [moment(trace.start), status].filter((part) => part !== null).join(", ") }),
    el("span", { class: "compare-took", text: duration(entry.duration) }),
  );
}

/** "+12.3 ms (+45 %)" */
function differenceText(seconds, before_s) {
  if (seconds === null) return "…";
  const sign = seconds > 0 ? "+" : seconds < 0 ? "−" : "±";
  const share = before_s > 0 ? ` (${sign}${percent(Math.abs(seconds) / before_s)})` : "";
  return `${sign}${duration(Math.abs(seconds))}${share}`;
}

/** Asks which trace to put beside this one: those of the same request first. @param {Trace} trace */
export async function chooseOther(trace, go) {
  const { entry } = trace;
  const url = textOf(entry.data.http?.request?.url);
  const path = requestOf({ url, name: entry.name }).path.split("?")[0];
  /** @type {any[]} */
  let rows = [];
  try {
    const answer = await api.traces({ limit: LOOKED_AT });
    rows = answer.traces.map(normalise).filter((row) => row !== null && row.id !== trace.id);
  } catch {
    // The field is left to type into.
  }
  const alike = (row) => (row.name === entry.name ? 1 : 0) + (requestOf(row).path.split("?")[0] === path ? 2 : 0);
  rows.sort((a, b) => alike(b) - alike(a));
  const choose = (id) => {
    dialog.close();
    go(`#/compare/${encodeURIComponent(trace.id)}/${encodeURIComponent(id)}`);
  };
  const submit = (event) => {
    event.preventDefault();
    const id = event.currentTarget.querySelector("input").value.trim();
    if (id !== "") choose(id);
  };
  const dialog = showDialog(
    "Compare with",
    el("form", { class: "compare-form", on: { submit } }, el("input", { class: "find", type: "text", name: "id", placeholder: "Trace id", "aria-label": "Trace id", autocomplete: "off" }), el("button", { type: "submit", class: "button small", text: "Compare" })),
    el(
      "ul",
      { class: "compare-choices" },
      rows.slice(0, OFFERED).map((row) =>
        el("li", { key: row.id }, el("button", { type: "button", class: "call-row", on: { click: () => choose(row.id) } }, el("span", { class: "call-name", text: [row.method, requestOf(row).path].filter(Boolean).join(" ") }), el("span", { class: "muted", text: moment(row.start) }), el("span", { text: duration(secondsOf(row)) }), healthOf(row) !== "ok" && el("span", { class: `tag tag-${healthOf(row)}`, text: healthWord(healthOf(row)) }))),
      ),
    ),
  );
}
