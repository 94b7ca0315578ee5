// @ts-check
// The live list of traces: filter, health at a glance, response times, rows.

import * as api from "./api.js";
import { announce, css, el, fill, make, perFrame, throttle } from "./dom.js";
import { chooseColumns, chosenColumns } from "./columns.js";
import { emptyState, noMatch } from "./empty.js";
import { FilterBox } from "./filterbox.js";
import { hasClause, rangeOf, toggleClause, withRange, withoutRange } from "./filter.js";
import { openButton } from "./files.js";
import { count, duration, plain, plural, zone } from "./format.js";
import { healthWord } from "./health.js";
import { Histogram, percentiles } from "./histogram.js";
import { icon } from "./icons.js";
import { ROW_HEIGHT, traceRow } from "./rows.js";
import { ORDERS, RowStore, newestFirst, normalise } from "./rowstore.js";
import { ask } from "./shortcuts.js";
import { address, spanOf, spanSelect, startOf } from "./spans.js";
import { VirtualList } from "./virtual.js";

const PAGE_ROWS = 200;
/** The latency query walks the whole store, so events may not ask for it one by one. */
const LATENCY_EVERY_MS = 1500;
const FRESH_MS = 1500;
/** Below this many requests a percentile says nothing, and nothing is called slow. */
const SLOW_NEEDS_REQUESTS = 20;
/** Above so many new traces a second none is lit up: the light would be all that moves, and most of what it costs. */
const LIT_AT_MOST_A_SECOND = 20;
/** As long as the server keeps what was cleared. */
const UNDO_MS = 10_000;
/** "So far" of requests that have not ended. */
const TICK_MS = 1000;
const HEALTH_CLAUSES = ["fault", "error", "throttle"];

export class ListView {
  #app;
  #store = new RowStore();
  #filter = "";
  #span = ""; // seconds back from now, or all
  #doing = { service: "", operation: "" }; // what a service did in the traces, or anything
  /** @type {keyof typeof ORDERS} */
  #sort = "start";
  #columns = chosenColumns();
  /** @type {string | null} */
  #next = null; // cursor of the rows below, null at the end
  #loading = false;
  #matched = 0;
  #unseen = 0; // new rows above what the reader sees
  /** @type {any} as /-/latency answers */
  #latency = null;
  #paused = false;
  #waiting = new Set(); // ids that came while paused
  /** @type {any[]} */
  #incoming = []; // events of this frame
  /** @type {Set<string>} */
  #fresh = new Set();
  /** @type {{ slow_s: number | null, scale_s: number, fresh: Set<string>, now: number, columns: string[] }} */
  #context = { slow_s: null, scale_s: 0, fresh: this.#fresh, now: Date.now() / 1000, columns: this.#columns };
  #second = { began: 0, added: 0 };
  #generation = 0; // answers to an earlier filter are dropped

  scrollTop = 0; // while another view is shown

  /** `app`: go(hash), connect(url, view), disconnect(), stats() and refreshStats(). */
  constructor(app) {
    this.#app = app;
    this.filterBox = new FilterBox({
      known: () => this.#known(),
      onApply: (expression) => this.#go(expression),
      onLeave: () => this.#focusRows(),
    });
    this.histogram = new Histogram({ label: "Response times; choose a bar to filter", onRange: (from_s, to_s) => this.#go(withRange(this.#filter, from_s, to_s)) });
    this.rows = new VirtualList({
      rowHeight: ROW_HEIGHT,
      role: "listbox",
      label: "Traces, newest first",
      keyOf: (row) => row.id,
      render: (row) => traceRow(row, this.#context),
      onActivate: (row) => this.#app.go(`#/trace/${encodeURIComponent(row.id)}`),
      onKey: (event) => this.#rowKey(event),
      onNearEnd: () => this.#loadMore(),
    });
    this.pauseButton = make("button", { class: "button", type: "button", id: "pause", on: { click: () => this.togglePause() } });
    this.clearButton = make("button", { class: "button", type: "button", id: "clear", title: "Clear all traces; this can be undone for ten seconds", on: { click: () => this.#clear() } });
    fill(this.clearButton, icon("trash", 14), "Clear");
    this.span = spanSelect((last) => this.#app.go(this.#address({ last })));
    this.columnsButton = make("button", { class: "button", type: "button", id: "columns", title: "Annotations as columns", text: "Columns", on: { click: () => this.#chooseColumns() } });
    this.doing = make("button", { class: "health-chip doing", type: "button", hidden: true, on: { click: () => this.#app.go(this.#address({ service: "", operation: "" })) } });
    this.chips = make("div", { class: "health-chips", role: "group", "aria-label": "Filter by health" });
    this.figures = make("div", { class: "figures-slot" });
    this.newPill = make("button", { class: "new-pill", type: "button", hidden: true, on: { click: () => this.#toTop() } });
    this.summary = make("p", { class: "list-summary", role: "status" });
    this.overview = make("section", { class: "overview card", "aria-label": "Response times" }, this.figures, this.histogram.element);
    this.table = make("section", { class: "table card", "aria-label": "Traces" }, (this.head = make("div", { class: "table-head", role: "group", "aria-label": "Order of the list" })), this.newPill, this.rows.viewport);
    this.placeholder = make("section", { class: "placeholder" });
    this.element = make(
      "div",
      { class: "view list-view" },
      make("h1", { class: "sr-only", text: "Traces" }),
      make("div", { class: "toolbar" }, this.filterBox.element, this.span, this.columnsButton, this.pauseButton, openButton(app), this.clearButton),
      make("div", { class: "subbar" }, this.chips, this.doing, this.summary),
      this.overview,
      this.table,
      this.placeholder,
    );
    this.apply = perFrame(() => this.#applyIncoming());
    this.refreshLatency = throttle(() => this.#loadLatency(), LATENCY_EVERY_MS);
    this.rows.viewport.addEventListener("scroll", () => this.#atTop() && this.#sawNew(), { passive: true });
    this.#showPause();
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Enters the view with the expression of the address. */
  async show(query) {
    document.title = "Traces · X-Ray dev";
    const filter = query.get("filter") ?? "";
    const before = this.#address();
    this.#filter = filter;
    this.#span = spanOf(query);
    this.#doing = { service: query.get("service") ?? "", operation: query.get("operation") ?? "" };
    const sort = query.get("sort") ?? "";
    this.#sort = Object.hasOwn(ORDERS, sort) ? /** @type {keyof typeof ORDERS} */ (sort) : "start";
    this.#store.order = ORDERS[this.#sort];
    const changed = before !== this.#address() || this.#store.rows.length === 0;
    this.span.value = this.#span;
    this.#showHead();
    this.#showDoing();
    if (this.filterBox.value !== filter) this.filterBox.value = filter;
    this.#showChips();
    this.rows.draw();
    if (changed) await this.#restart();
    else this.#connect();
  }

  /** After coming back from a trace: focus where the reader left. */
  restoreFocus() {
    const row = this.rows.activeItem;
    if (row) this.rows.activate(row.id, { focus: true });
  }

  async #restart() {
    const generation = (this.#generation += 1);
    this.filterBox.showError(null);
    this.#showStale(false);
    try {
      await this.#read({ reset: true });
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#app.disconnect();
      if (error instanceof api.FilterError) {
        this.filterBox.showError(error);
        this.#showStale(true);
        announce(error.message);
        return;
      }
    }
    if (generation === this.#generation) this.#connect();
  }

  /** The rows are those of another filter. */
  #showStale(stale) {
    this.table.classList.toggle("is-stale", stale);
    this.overview.classList.toggle("is-stale", stale);
    if (stale) this.summary.textContent = this.#store.rows.length > 0 ? "These are the traces of before" : "";
  }

  #connect() {
    this.#app.connect(api.eventsUrl(this.#selection()), this);
  }

  #selection() {
    return { filter: this.#filter, start: startOf(this.#span), ...this.#doing };
  }

  /** Nothing narrows the list but, perhaps, time. */
  get #isAll() {
    return this.#filter === "" && this.#doing.service === "";
  }

  #address(changed = {}) {
    const sort = this.#sort === "start" ? "" : this.#sort;
    return address("#/traces", { filter: this.#filter, last: this.#span, ...this.#doing, sort, ...changed });
  }

  async #read({ reset }) {
    const generation = this.#generation;
    const answer = await api.traces({ ...this.#selection(), sort: this.#sort, limit: PAGE_ROWS });
    if (generation !== this.#generation) return;
    const page = readPage(answer);
    this.#matched = answer.matched ?? page.length;
    if (this.#paused && !reset) {
      for (const row of page) if (!this.#store.get(row.id)) this.#waiting.add(row.id);
      this.#showPause();
    } else if (reset) {
      this.#store.replaceAll(page);
      this.#next = answer.next ?? null;
      this.#waiting.clear();
      this.rows.viewport.scrollTop = 0;
      this.#showRows();
      this.#showPause();
    } else if (this.#sort !== "start") {
      this.#store.upsert(page);
      this.#showRows();
    } else {
      const { added, continuous } = this.#store.merge(page, Boolean(answer.next));
      if (!continuous || !answer.next) this.#next = answer.next ?? null;
      this.#showRows({ added });
    }
    this.refreshLatency();
  }

  // What the live connection calls.

  async sync() {
    try {
      await this.#read({ reset: false });
    } catch (error) {
      if (!(error instanceof api.FilterError)) throw error;
    }
  }

  onTrace(raw) {
    const row = normalise(raw);
    if (row === null) return;
    if (this.#paused) {
      this.#waiting.add(row.id);
      this.#showPause();
      return;
    }
    this.#incoming.push(row);
    this.apply();
  }

  onGone(ids) {
    const removed = this.#store.remove(ids);
    // Those that are not listed here yet matched too, where all do; else the next count tells.
    this.#matched = Math.max(this.#store.rows.length, this.#matched - (this.#isAll && this.#span === "" ? ids.length : removed));
    this.#showRows();
    this.refreshLatency();
  }

  onReset() {
    this.#restart();
    this.#app.refreshStats();
  }

  #applyIncoming() {
    const last = this.#next === null || this.#sort !== "start" ? undefined : this.#store.rows.at(-1);
    // What belongs below the last row is counted already, and comes when the reader scrolls there.
    const rows = this.#incoming.splice(0).filter((row) => last === undefined || newestFirst(row, last) <= 0 || this.#store.get(row.id));
    const added = this.#store.upsert(rows);
    this.#matched += added.length;
    this.#showRows({ added });
    this.refreshLatency();
    this.#app.refreshStats();
  }

  /** @param {{ added?: string[] }} [news] */
  #showRows({ added = [] } = {}) {
    const { rows } = this.#store;
    const atTop = this.#atTop();
    this.#context.now = Date.now() / 1000;
    if (added.length > 0 && this.#isCalm(added.length)) {
      for (const id of added) this.#fresh.add(id);
      // Without this a row that scrolls back into sight would light up again.
      setTimeout(() => added.forEach((id) => this.#fresh.delete(id)), FRESH_MS);
    }
    this.rows.setItems(rows, { anchor: true });
    if (added.length > 0 && !atTop && this.#sort === "start") {
      this.#unseen += added.length;
      fill(this.newPill, `${plural(this.#unseen, "new trace")} ↑`);
      this.newPill.hidden = false;
    }
    const empty = rows.length === 0;
    this.table.hidden = empty;
    this.overview.hidden = empty && this.#isAll;
    this.placeholder.hidden = !empty;
    if (empty) this.#showEmpty();
    this.#showSummary();
  }

  #showSummary() {
    const listed = this.#store.rows.length;
    const shown = listed < this.#matched ? `${count(listed)} of ${count(this.#matched)}` : count(listed);
    const one = listed >= this.#matched ? listed === 1 : this.#matched === 1;
    const verb = this.#isAll ? "" : one ? " matches" : " match";
    this.summary.textContent = listed === 0 ? "" : `${shown} ${one ? "trace" : "traces"}${verb}`;
  }

  /** The reader is at the top, where what is new is. */
  #sawNew() {
    this.#unseen = 0;
    this.newPill.hidden = true;
  }

  /** Whether so many new traces now, with those of the last second, are few enough to be lit up. */
  #isCalm(added) {
    const now = performance.now();
    if (now - this.#second.began > 1000) this.#second = { began: now, added: 0 };
    this.#second.added += added;
    return this.#second.added <= LIT_AT_MOST_A_SECOND;
  }

  #tick() {
    if (!this.element.isConnected || document.visibilityState !== "visible") return;
    if (!this.rows.drawn.some((row) => row.in_progress)) return;
    this.#context.now = Date.now() / 1000;
    this.rows.refresh();
  }

  #showEmpty() {
    const stats = this.#app.stats();
    const asked = [this.#filter, this.#doing.service && this.#doingText()].filter(Boolean).join(" ");
    if (this.#isAll && this.#span === "") fill(this.placeholder, emptyState(stats));
    else fill(this.placeholder, noMatch(asked || "in this span of time", () => this.#app.go("#/traces")));
  }

  /** The onboarding names addresses, which come with the first stats. */
  onStats() {
    if (!this.placeholder.hidden) this.#showEmpty();
  }

  #showHead() {
    const cell = (name, text) => el("span", { class: `cell-${name}`, "aria-hidden": "true", text });
    const sort = (name, text, order) =>
      el("button", { type: "button", class: `cell-${name} sort`, "aria-pressed": String(this.#sort === order), title: `Sort: ${order === "start" ? "newest" : "most"} first`, on: { click: () => this.#app.go(this.#address({ sort: order === "start" ? "" : order })) } }, text, el("span", { class: "sort-mark", "aria-hidden": "true", text: this.#sort === order ? "↓" : "" }));
    fill(this.head, sort("time", ["Time ", el("span", { class: "cell-zone", "aria-hidden": "true", text: zone(this.#context.now) })], "start"), cell("what", "Request"), this.#columns.map((key) => el("span", { key, class: "cell-column", title: key, text: key })), cell("mark", ""), cell("status", "Status"), sort("duration", "Response time", "duration"), sort("segments", "Segments", "segments"));
    css(this.table, { "--columns": this.#columns.length > 0 ? `repeat(${this.#columns.length}, minmax(64px, 110px))` : "" });
  }

  #chooseColumns() {
    chooseColumns(this.#known().annotations.keys(), (columns) => {
      this.#columns = columns;
      this.#context.columns = columns;
      this.#showHead();
      this.rows.refresh();
    });
  }

  #doingText() {
    return `${this.#doing.service.split("~")[0]} ${this.#doing.operation}`.trim();
  }

  /** What a service did, as a chip that takes it away. */
  #showDoing() {
    this.doing.hidden = this.#doing.service === "";
    fill(this.doing, el("span", { text: this.#doingText() }), icon("close", 12));
    this.doing.title = "Only traces in which this was done; a click shows all";
  }

  async #loadMore() {
    if (this.#loading || this.#next === null) return;
    this.#loading = true;
    const generation = this.#generation;
    try {
      const answer = await api.traces({ ...this.#selection(), sort: this.#sort, limit: PAGE_ROWS, [this.#sort === "start" ? "before" : "offset"]: this.#next });
      if (generation !== this.#generation) return;
      this.#next = answer.next ?? null;
      this.#matched = answer.matched ?? this.#matched;
      this.#store.upsert(readPage(answer));
      this.#showRows();
    } catch {
      // The live connection tells that the server is away; scrolling asks again.
    } finally {
      this.#loading = false;
    }
  }

  async #loadLatency() {
    const filter = this.#filter;
    let latency;
    try {
      latency = await api.latency({ ...this.#selection(), filter: withoutRange(filter) });
    } catch {
      return; // the list's own request reports what is wrong
    }
    if (filter !== this.#filter) return;
    this.#latency = latency;
    this.#countAnew(filter, latency);
    this.histogram.show(latency.buckets ?? [], rangeOf(filter));
    fill(this.figures, percentiles(latency));
    this.#showChips();
    const slow_s = this.#slow();
    const scale_s = Math.max(latency.p99_s ?? 0, slow_s ?? 0);
    if (slow_s !== this.#context.slow_s || Math.abs(scale_s - this.#context.scale_s) > this.#context.scale_s * 0.05) {
      Object.assign(this.#context, { slow_s, scale_s });
      this.rows.refresh();
    }
  }

  /** What the server counts goes over what was counted here from event to event. */
  async #countAnew(filter, latency) {
    try {
      const matched = withoutRange(filter) === filter ? latency.matched : (await api.traces({ ...this.#selection(), limit: 1 })).matched;
      if (filter !== this.#filter || !Number.isFinite(matched)) return;
      this.#matched = Math.max(matched, this.#store.rows.length);
      this.#showSummary();
    } catch {
      // The next one tells.
    }
  }

  /** From here on a response is called slow: rarer than one in twenty and well above the usual. */
  #slow() {
    const latency = this.#latency;
    if (latency === null || !(latency.count >= SLOW_NEEDS_REQUESTS)) return null;
    return Number(Math.max(latency.p95_s, 2 * latency.p50_s).toPrecision(2));
  }

  #showChips() {
    const flags = this.#latency?.flags ?? {};
    const chip = (name, label, pressed, title, act) =>
      el("button", { type: "button", class: `health-chip chip-${name}`, "aria-pressed": String(pressed), title, on: { click: act } }, el("span", { class: `dot-${name}`, "aria-hidden": "true" }), label);
    const health = HEALTH_CLAUSES.map((name) =>
      chip(name, [healthWord(name), el("b", { text: this.#latency ? count(flags[name] ?? 0) : "" })], hasClause(this.#filter, name), `Traces with a ${name}`, () => this.#go(toggleClause(this.#filter, name))),
    );
    const slow_s = this.#slow();
    const range = rangeOf(this.#filter);
    const slowOn = slow_s !== null && range?.from_s === slow_s && range.to_s === null;
    const slow = slow_s !== null && chip("slow", ["Slow", el("b", { text: `≥ ${duration(slow_s)}` })], slowOn, "The slowest responses", () => this.#go(slowOn ? withoutRange(this.#filter) : withRange(this.#filter, slow_s, null)));
    fill(this.chips, health, slow);
  }

  #known() {
    const services = new Set();
    const annotations = new Map();
    for (const row of this.#store.rows.slice(0, 500)) {
      row.services.forEach((name) => services.add(name));
      for (const [key, value] of Object.entries(row.annotations)) annotations.set(key, value);
    }
    return { services: [...services].sort(), annotations, slow: plain(this.#slow() ?? 1) };
  }

  #go(expression) {
    const hash = this.#address({ filter: expression });
    if (expression === this.#filter) this.#restart(); // Enter on the same expression asks again
    else this.#app.go(hash);
  }

  togglePause() {
    this.#paused = !this.#paused;
    this.#showPause();
    announce(this.#paused ? "Paused" : "Live");
    if (!this.#paused) this.#read({ reset: false }).then(() => this.#waiting.clear(), () => {}).then(() => this.#showPause());
  }

  #showPause() {
    const waiting = this.#paused && this.#waiting.size > 0 ? el("span", { class: "badge", text: count(this.#waiting.size) }) : null;
    fill(this.pauseButton, icon(this.#paused ? "play" : "pause", 14), this.#paused ? "Resume" : "Pause", waiting);
    this.pauseButton.setAttribute("aria-pressed", String(this.#paused));
    this.pauseButton.title = this.#paused ? "Show new traces as they come (p)" : "Hold the list still (p)";
    this.pauseButton.classList.toggle("is-on", this.#paused);
  }

  async #clear() {
    try {
      const { traces, file } = (await api.stats()).store;
      const what = plural(traces, "trace");
      if (file && !(await ask("Clear all traces?", `The ${what} in ${file} go too.`, "Clear"))) return;
      await api.clear();
      await this.#restart();
      this.#app.offer(`${what} cleared.`, "Undo", () => this.#undoClear(), UNDO_MS);
    } catch (error) {
      this.#failed("clear", error);
    }
  }

  async #undoClear() {
    try {
      await api.undoClear();
      await this.#restart();
      announce("Brought back");
    } catch (error) {
      this.#failed("undo", error);
    }
  }

  #failed(what, error) {
    this.#app.notice(`Could not ${what}: ${error instanceof Error ? error.message : error}`);
  }

  #rowKey(event) {
    if (event.key === "Escape" && this.#filter !== "") {
      this.#go("");
      return true;
    }
    return false;
  }

  #focusRows() {
    const row = this.rows.activeItem;
    if (row) this.rows.activate(row.id, { focus: true });
    else this.filterBox.input.blur();
  }

  #atTop() {
    return this.rows.viewport.scrollTop < ROW_HEIGHT / 2;
  }

  #toTop() {
    this.rows.viewport.scrollTop = 0;
    this.#sawNew();
    const first = this.#store.rows[0];
    if (first) this.rows.activate(first.id, { focus: true });
  }

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key === "/") this.filterBox.focus();
    else if (event.key === "p") this.togglePause();
    else if (event.key === "u") return this.#app.takeOffer();
    else if (event.key === "Escape" && this.#filter !== "") this.#go("");
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#focusRows();
    else return false;
    return true;
  }
}

function readPage(answer) {
  return (Array.isArray(answer.traces) ? answer.traces : []).map(normalise).filter((row) => row !== null);
}
