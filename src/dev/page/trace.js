// @ts-check
// One trace: what it was, why it took so long, where it failed, and everything its segments say.

import * as api from "./api.js";
import { criticalPath, failures } from "./analysis.js";
import { announce, el, fill, make, throttle } from "./dom.js";
import { chooseOther } from "./compare.js";
import { Details } from "./details.js";
import { copyButton } from "./empty.js";
import { Flame } from "./flame.js";
import { batchOf, save } from "./files.js";
import { duration, moment, plural } from "./format.js";
import { NEVER_ENDED_AFTER_S, healthWord, progressWord, statusHealth } from "./health.js";
import { icon } from "./icons.js";
import { insights } from "./insights.js";
import { logLines, logsOf } from "./logs.js";
import { MapPanel } from "./mappanel.js";
import { buildTrace, isObject, statusOf, subtitle, textOf } from "./model.js";
import { requestOf } from "./rows.js";
import { TraceStatistics } from "./statistics.js";
import { Waterfall, waterfallTools } from "./waterfall.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */

/** The views of a trace, by their names in the address. */
const TABS = { timeline: "Timeline", flame: "Flame graph", statistics: "Statistics", map: "Map" };

/** They move in the timeline wherever the keyboard is, but in a field or a tab. */
const TREE_KEYS = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Home", "End", "PageDown", "PageUp"]);

/** A trace that is still growing is read again at most this often. */
const REREAD_MS = 400;
/** What has not ended is drawn on so often; less often when it may never end. */
const TICK_MS = 1000;
const SLOW_TICK_MS = 30_000;
/** Drawing takes at most one part in so many of the time. */
const TICK_SHARE = 20;

export class TraceView {
  #app;
  /** @type {string} "" while another view is shown */
  #id = "";
  /** @type {Trace} null while there is none */
  #trace = /** @type {any} */ (null);
  #answer = /** @type {any} */ (null); // the documents of the trace, as they were read last
  #adjust = false; // clocks that differ
  /** @type {any} */
  #tick = 0;
  #tab = "timeline";
  /** @type {TraceNode[]} */
  #matches = [];

  /** `app`: go(hash), replace(hash), back(), connect(url, view), disconnect(). */
  constructor(app) {
    this.#app = app;
    this.waterfall = new Waterfall({ onSelect: (node) => this.#selected(node), onOpen: () => this.#openDetails() });
    this.details = new Details({
      filter: (expression) => app.go(`#/traces?filter=${encodeURIComponent(expression)}`),
      select: (key) => this.#jump(key),
      close: () => this.#closeDetails(),
    });
    this.map = new MapPanel({ onFilter: (expression) => app.go(`#/traces?filter=${encodeURIComponent(expression)}`) });
    this.flame = new Flame({ onOpen: (node) => this.#jump(node.key) });
    this.statistics = new TraceStatistics({ onOpen: (node) => this.#jump(node.key) });
    this.head = make("header", { class: "trace-head" });
    this.insights = make("div", { class: "insights" });
    this.find = make("input", { class: "find", type: "search", placeholder: "Find in this trace", "aria-label": "Find in this trace", on: { input: () => this.#search(), keydown: (event) => this.#findKey(event) } });
    this.findCount = make("span", { class: "muted small", role: "status" });
    this.tabs = make("div", { class: "tab-row", role: "tablist", "aria-label": "Views of the trace" });
    this.tools = make("div", { class: "trace-tools" }, this.tabs, make("div", { class: "find-group" }, this.find, this.findCount), waterfallTools(this.waterfall));
    this.clocks = make("button", { type: "button", class: "button small", id: "clocks", hidden: true, text: "Adjust clocks", on: { click: () => this.#adjustClocks() } });
    this.tools.append(this.clocks);
    this.timeline = make("div", { class: "trace-body card" }, this.waterfall.element, this.details.element);
    this.message = make("div", { class: "placeholder", hidden: true });
    this.logs = make("div", { class: "logs-slot", hidden: true });
    this.content = make("div", { class: "trace-content" }, this.head, this.insights, this.tools, this.timeline, this.flame.element, this.statistics.element, this.map.element, this.logs);
    this.element = make("div", { class: "view trace-view" }, this.content, this.message);
    this.reread = throttle(() => this.#load(), REREAD_MS);
  }

  async show(id, query) {
    const view = query.get("view");
    this.#tab = view !== null && Object.hasOwn(TABS, view) ? view : "timeline";
    const segment = query.get("segment");
    if (id !== this.#id) {
      this.#id = id;
      this.#trace = /** @type {any} */ (null);
      this.#adjust = false;
      this.waterfall.leave();
      this.find.value = "";
      this.findCount.textContent = "";
      this.#matches = [];
      document.title = "Trace · X-Ray dev";
      await this.#load(segment);
      if (id !== this.#id) return;
      if (this.#trace) this.waterfall.select(this.waterfall.selected?.key ?? "", { focus: true, reveal: true });
    } else if (segment && this.#trace) this.waterfall.select(segment, { reveal: true });
    this.#showTab();
    this.#app.connect(api.eventsUrl({ trace: id }), this);
  }

  hide() {
    this.#id = "";
    clearTimeout(this.#tick);
  }

  /** Reads the trace and shows it; false when there was no answer at all. */
  async #load(segment = null) {
    const id = this.#id;
    let answer;
    try {
      answer = await api.trace(id);
    } catch (error) {
      if (id === this.#id && this.#trace === null) this.#missing(error);
      return !(error instanceof api.ApiError && error.status === 0);
    }
    if (id !== this.#id) return true;
    this.#answer = answer;
    this.#showAnswer(segment);
    return true;
  }

  #showAnswer(segment = null) {
    const began = performance.now();
    const trace = buildTrace(this.#answer, { now: Date.now() / 1000, adjust: this.#adjust });
    this.#showTrace(trace, segment);
    clearTimeout(this.#tick);
    if (!trace.in_progress) return;
    const usual = trace.end - trace.known_end < NEVER_ENDED_AFTER_S ? TICK_MS : SLOW_TICK_MS;
    // A very large trace is drawn less often, so that there is time to read it.
    this.#tick = setTimeout(() => this.#showAnswer(), Math.max(usual, (performance.now() - began) * TICK_SHARE));
  }

  #adjustClocks() {
    this.#adjust = !this.#adjust;
    this.#showAnswer();
    announce(this.#adjust ? "Clocks adjusted" : "Times as they were sent");
  }

  /** @param {Trace} trace @param {string | null} segment */
  #showTrace(trace, segment) {
    if (trace.order.length === 0) {
      this.#missing(new api.ApiError("No segment of this trace could be read.", 200));
      return;
    }
    this.#trace = trace;
    this.message.hidden = true;
    this.content.hidden = false;
    const path = criticalPath(trace);
    this.#showHead();
    fill(this.insights, insights(trace, path, (key) => this.#jump(key)));
    const lines = logsOf(this.#answer);
    this.waterfall.setLogs(lines);
    this.waterfall.show(trace, path);
    this.logs.hidden = lines.length === 0;
    fill(this.logs, lines.length > 0 && logLines(lines, trace, (key) => this.#jump(key)));
    this.clocks.hidden = trace.skew_s === 0;
    this.clocks.setAttribute("aria-pressed", String(trace.adjusted));
    this.clocks.classList.toggle("is-on", trace.adjusted);
    this.clocks.title = trace.adjusted ? "Show times as they were sent" : "Show times as if all clocks agreed";
    const chosen = trace.byKey.get(segment ?? "") ?? this.waterfall.selected ?? failures(trace)[0] ?? trace.entry;
    this.waterfall.select(chosen.key, { reveal: segment !== null });
    this.details.show(chosen, trace);
    if (this.find.value) this.#search();
    this.#showPanel();
  }

  #missing(error) {
    this.content.hidden = true;
    this.message.hidden = false;
    const gone = error.status === 404;
    fill(
      this.message,
      el("h1", { text: gone ? "This trace is not in the store" : "This trace cannot be shown" }),
      el("p", { text: gone ? "It has not arrived yet, or newer traces have pushed it out. It shows up here when it comes." : error.message }),
      el("p", {}, el("code", { text: this.#id })),
      el("button", { type: "button", class: "button", on: { click: () => this.#app.back() } }, "All traces"),
    );
  }

  #showHead() {
    const trace = this.#trace;
    const { entry } = trace;
    const http = isObject(entry.data.http) && isObject(entry.data.http.request) ? entry.data.http.request : {};
    const { path, host } = requestOf({ url: textOf(http.url), name: entry.name });
    const status = statusOf(entry);
    const flags = ["fault", "throttle", "error"].filter((flag) => trace.order.some((node) => node[flag]));
    document.title = `${path} · X-Ray dev`;
    const longer = !entry.in_progress && trace.duration > entry.duration * 1.05 + 0.001;
    const segments = trace.order.filter((node) => node.kind === "segment").length;
    const subsegments = trace.order.length - segments;
    const fact = (label, ...value) => el("div", { class: "fact" }, el("dt", { text: label }), el("dd", {}, value));
    fill(
      this.head,
      el("button", { type: "button", class: "icon-button back", "aria-label": "Back to the list (Escape)", title: "Back to the list (Escape)", on: { click: () => this.#app.back() } }, icon("back")),
      el(
        "div",
        { class: "trace-title" },
        el("h1", {}, textOf(http.method) && el("span", { class: "method", text: http.method }), el("span", { class: "path", text: path, title: textOf(http.url) ?? entry.name })),
        el("p", { class: "trace-sub" }, host && el("span", { text: host }), el("span", { text: moment(trace.start) }), el("code", { class: "trace-id", text: trace.id })),
      ),
      el("div", { class: "trace-flags" }, trace.note && el("span", { class: "tag tag-plain", text: trace.note }), trace.in_progress && el("span", { class: "tag tag-progress", text: progressWord(trace.end - trace.known_end) }), trace.skew_s !== 0 && el("span", { class: "tag tag-clock", title: trace.adjusted ? "Times are adjusted" : "Times are as they were sent", text: `Clocks differ by ${duration(Math.abs(trace.skew_s))}` }), flags.map((flag) => el("span", { class: `tag tag-${flag}`, text: healthWord(flag) }))),
      el(
        "dl",
        { class: "facts" },
        status !== null && fact("Status", el("span", { class: `s-${statusHealth(status)}`, text: status })),
        fact("Response time", entry.in_progress ? `${duration(entry.duration)} so far` : duration(entry.duration)),
        longer && fact("Whole trace", duration(trace.duration)),
        fact("Services", String(trace.services.length)),
        fact("Segments", String(segments)),
        subsegments > 0 && fact("Subsegments", String(subsegments)),
      ),
      el("div", { class: "trace-actions" }, el("button", { type: "button", class: "button small", text: "Compare…", on: { click: () => chooseOther(trace, (hash) => this.#app.go(hash)) } }), copyButton(() => trace.id, "Copy id"), copyButton(() => `[${trace.documents.map((entry) => entry.document).join(",\n")}]`, "Copy JSON"), el("button", { type: "button", class: "button small", id: "download", title: "Save it as aws xray batch-get-traces prints it; xray dev --open and a drop on this page read that", text: "Download", on: { click: () => save(`${trace.id}.json`, batchOf(trace)) } })),
    );
    if (trace.unreadable > 0) this.#app.notice(`${plural(trace.unreadable, "document")} of this trace could not be read.`);
  }

  #showTab() {
    const names = Object.keys(TABS);
    const keydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (names.indexOf(this.#tab) + step + names.length) % names.length;
      this.#chooseTab(names[next]);
      /** @type {HTMLElement} */ (this.tabs.children[next]).focus();
    };
    const tab = (name) => el("button", { key: name, type: "button", class: "tab", role: "tab", "aria-selected": String(this.#tab === name), tabindex: this.#tab === name ? 0 : -1, text: TABS[name], on: { click: () => this.#chooseTab(name), keydown } });
    fill(this.tabs, names.map(tab));
    this.timeline.hidden = this.#tab !== "timeline";
    this.flame.element.hidden = this.#tab !== "flame";
    this.statistics.element.hidden = this.#tab !== "statistics";
    this.map.element.hidden = this.#tab !== "map";
    this.tools.classList.toggle("is-elsewhere", this.#tab !== "timeline");
    this.#showPanel();
  }

  /** What is shown beside the timeline is made when it is looked at. */
  #showPanel() {
    if (this.#trace === null) return;
    if (this.#tab === "flame") this.flame.show(this.#trace);
    else if (this.#tab === "statistics") this.statistics.show(this.#trace);
    // A failure shows in the state of the connection; the map keeps what it had.
    else if (this.#tab === "map") this.map.load({ trace: this.#id }).catch(() => {});
  }

  #chooseTab(name) {
    this.#tab = name;
    this.#showTab();
    this.#writeAddress();
  }

  #selected(node) {
    if (this.#trace === null) return;
    this.details.show(node, this.#trace);
    this.#writeAddress();
  }

  /** The address always leads back to what is on the screen. */
  #writeAddress() {
    if (this.#id === "") return;
    const query = new URLSearchParams();
    if (this.#tab !== "timeline") query.set("view", this.#tab);
    const node = this.waterfall.selected;
    if (node?.id && node !== this.#trace?.entry) query.set("segment", node.id);
    const text = query.toString();
    this.#app.replace(`#/trace/${encodeURIComponent(this.#id)}${text ? `?${text}` : ""}`);
  }

  #jump(key) {
    if (this.#tab !== "timeline") this.#chooseTab("timeline");
    this.#openDetails();
    this.waterfall.select(key, { focus: true, reveal: true });
  }

  #openDetails() {
    this.timeline.classList.remove("no-details");
  }

  #closeDetails() {
    this.timeline.classList.add("no-details");
    this.waterfall.select(this.waterfall.selected?.key ?? "", { focus: true });
  }

  #search() {
    const wanted = this.find.value.trim().toLowerCase();
    if (wanted === "") {
      this.#matches = [];
      this.findCount.textContent = "";
      this.waterfall.setMatches(null);
      return;
    }
    this.#matches = this.#trace.order.filter((node) => searchText(node).includes(wanted));
    this.findCount.textContent = plural(this.#matches.length, "match", "matches");
    this.waterfall.setMatches(new Set(this.#matches.map((node) => node.key)));
  }

  #findKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#step(this.#matches, event.shiftKey ? -1 : 1, false);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.find.value = "";
      this.#search();
      this.waterfall.select(this.waterfall.selected?.key ?? "", { focus: true });
    }
  }

  /** The next of `nodes` after the chosen row, in the order of the timeline. */
  #step(nodes, direction, focus) {
    if (nodes.length === 0) return;
    const { order } = this.#trace;
    const at = order.findIndex((node) => node === this.waterfall.selected);
    const sorted = nodes.map((node) => order.indexOf(node)).sort((a, b) => a - b);
    const next = direction > 0 ? (sorted.find((index) => index > at) ?? sorted[0]) : (sorted.findLast((index) => index < at) ?? sorted.at(-1));
    this.waterfall.select(order[next].key, { reveal: true, focus });
    announce(order[next].name);
  }

  // What the live connection calls.

  async sync() {
    if (!(await this.#load())) throw new Error("no answer");
  }

  onTrace(row) {
    if (row.id === this.#id) this.reread();
  }

  onGone() {}

  onReset() {}

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key === "Escape") this.#app.back();
    else if (this.#trace === null) return false;
    else if (event.key === "/" || event.key === "f") this.find.focus();
    else if (event.key === "+" || event.key === "=") this.waterfall.zoom(0.5);
    else if (event.key === "-") this.waterfall.zoom(2);
    else if (event.key === "0") this.waterfall.resetWindow();
    else if (this.#tab === "timeline" && TREE_KEYS.has(event.key)) return this.waterfall.key(event);
    else if (event.key === "e") this.#step(failures(this.#trace), 1, true);
    else return false;
    return true;
  }
}

/** What "Find" looks through; made once per node. */
const texts = new WeakMap();
function searchText(node) {
  let text = texts.get(node);
  if (text === undefined) {
    const { annotations } = node.data;
    const said = node.exceptions.flatMap((exception) => [exception.type, exception.message]);
    text = [node.name, subtitle(node), node.id, ...said, isObject(annotations) ? JSON.stringify(annotations) : ""].join("\n").toLowerCase();
    texts.set(node, text);
  }
  return text;
}
