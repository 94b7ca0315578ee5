// @ts-check
// The timeline of a trace: a tree whose rows are bars in time.

import { selfTime } from "./analysis.js";
import { BAR_ROW_HEIGHT, barRow, tooltipOf } from "./bars.js";
import { css, el, fill, make, perFrame } from "./dom.js";
import { duration, tick } from "./format.js";
import { NEVER_ENDED_AFTER_S } from "./health.js";
import { icon } from "./icons.js";
import { logMarks } from "./logs.js";
import { Minimap } from "./minimap.js";
import { clampWindow, panWindow, ticks, zoomWindow } from "./timescale.js";
import { VirtualList } from "./virtual.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./timescale.js").Window} Window */

/** Pixels, and the share of the timeline. */
const NAME_WIDTH = { least: 140, most: 640, step: 24, share: 0.42 };

export class Waterfall {
  /** @type {Trace} */
  #trace = /** @type {any} */ (null);
  #onSelect;
  /** @type {import("./logs.js").LogLine[]} */
  #logs = [];
  #nameWidth = 0; // as the reader chose it, in pixels
  /** @type {"recorded" | "all" | null} what the window follows when the trace grows; null: the reader has chosen one */
  #follows = "recorded";
  /** @type {{ trace: Trace, path: Map<string, Window[]>, window: Window, collapsed: Set<string>, selected: string | null, matches: Set<string> | null }} */
  #context = { trace: /** @type {any} */ (null), path: new Map(), window: [0, 1], collapsed: new Set(), selected: null, matches: null };

  /** `onSelect(node)` when a row is chosen, `onOpen(node)` for Enter and click. */
  constructor({ onSelect, onOpen }) {
    this.#onSelect = onSelect;
    this.rows = new VirtualList({
      rowHeight: BAR_ROW_HEIGHT,
      role: "tree",
      label: "Timeline of the trace",
      keyOf: (node) => node.key,
      render: (node) => barRow(node, this.#context),
      selected: () => this.#context.selected,
      onMove: (node) => this.select(node.key),
      onActivate: (node, event) => {
        if (event.target.closest?.(".chevron")) this.#toggle(node);
        this.select(node.key);
        if (!event.target.closest?.(".chevron")) onOpen(node);
      },
      onKey: (event, node) => this.#rowKey(event, node),
    });
    this.minimap = new Minimap((from, to) => this.setWindow([from, to]));
    this.axis = make("div", { class: "axis", "aria-hidden": "true" });
    this.marks = make("div", { class: "log-marks", "aria-hidden": "true" });
    this.grid = make("div", { class: "grid", "aria-hidden": "true" });
    this.cursor = make("div", { class: "time-cursor", hidden: true, "aria-hidden": "true" }, (this.cursorLabel = make("span", { class: "time-cursor-label" })));
    this.tooltip = make("div", { class: "tooltip", role: "tooltip", hidden: true });
    this.splitter = make("div", {
      class: "splitter",
      role: "separator",
      tabindex: "0",
      "aria-orientation": "vertical",
      "aria-label": "Width of the names",
      on: { pointerdown: (event) => this.#dragSplitter(event), keydown: (event) => this.#splitterKey(event) },
    });
    this.zoomOut = make("button", { type: "button", class: "link-button zoom-reset", hidden: true, text: "See all", on: { click: () => this.resetWindow() } });
    this.element = make(
      "div",
      { class: "waterfall" },
      make("div", { class: "waterfall-top" }, make("div", { class: "waterfall-corner" }, make("span", { text: "Segment" }), this.zoomOut), this.minimap.element),
      make("div", { class: "waterfall-axis" }, make("div", { class: "waterfall-corner" }), make("div", { class: "axis-host" }, this.axis, this.marks)),
      make("div", { class: "waterfall-body" }, this.grid, this.cursor, this.rows.viewport),
      this.splitter,
      this.tooltip,
    );
    this.#watchPointer();
    this.#setNameWidth(320);
    new ResizeObserver(() => this.#setNameWidth(this.#nameWidth)).observe(this.element);
  }

  /** Shows a trace; keeps what is folded, chosen and zoomed when it is a newer state of the same one. */
  show(trace, path) {
    const same = this.#trace?.id === trace.id;
    if (!same) {
      Object.assign(this.#context, { collapsed: new Set(), selected: null, matches: null });
      this.#follows = "recorded";
    }
    this.#trace = trace;
    Object.assign(this.#context, { trace, path });
    this.minimap.show(trace);
    this.#showWindow(this.#follows === "recorded" ? recorded(trace) : this.#follows === "all" ? [trace.start, trace.end] : this.#context.window);
    this.#relist({ anchor: same });
  }

  /** Lines of logs, to be marked at their time. */
  setLogs(lines) {
    this.#logs = lines;
  }

  /** Another trace comes. */
  leave() {
    this.#trace = /** @type {any} */ (null);
    this.#context.selected = null;
  }

  /** A key of the tree that was pressed elsewhere: the keyboard moves to the chosen row, and the key does what it does there. */
  key(event) {
    return this.focus() && this.rows.key(event);
  }

  /** Moves the keyboard to the chosen row. */
  focus() {
    const key = this.#context.selected;
    return key !== null && this.rows.activate(key, { focus: true });
  }

  /** Chooses a row and tells; `focus` also moves the keyboard there. */
  select(key, { focus = false, reveal = false } = {}) {
    const node = this.#trace?.byKey.get(key);
    if (!node) return false;
    if (reveal) this.#unfoldAbove(node);
    const changed = this.#context.selected !== key;
    this.#context.selected = key;
    if (changed) this.rows.draw();
    if (focus || reveal) this.rows.activate(key, { focus });
    if (changed) this.#onSelect(node);
    return true;
  }

  get selected() {
    return this.#trace?.byKey.get(this.#context.selected ?? "") ?? null;
  }

  /** Marks the rows whose keys are in the set and dims the others; null shows all alike. */
  setMatches(matches) {
    this.#context.matches = matches;
    this.rows.refresh();
  }

  collapseAll() {
    for (const node of this.#trace.order) if (node.children.length > 0 && node.depth > 0) this.#context.collapsed.add(node.key);
    this.#relist();
  }

  expandAll() {
    this.#context.collapsed.clear();
    this.#relist();
  }

  /** @param {Window} window chosen by the reader; it stays so when the trace grows */
  setWindow(window) {
    this.#follows = null;
    this.#showWindow(window);
  }

  /** @param {Window} window */
  #showWindow([from, to]) {
    const { start, end } = this.#trace;
    this.#context.window = clampWindow(from, to, start, end);
    this.minimap.setWindow(this.#context.window);
    this.zoomOut.hidden = !this.#isZoomed();
    this.#drawAxis();
    this.rows.refresh();
  }

  resetWindow() {
    this.#showWindow([this.#trace.start, this.#trace.end]);
    this.#follows = "all";
  }

  /** Closer (below 1) or further around the chosen row. */
  zoom(factor) {
    const { start, end } = this.#trace;
    const [from, to] = this.#context.window;
    const node = this.selected;
    const middle = node ? (node.start + node.end) / 2 : (from + to) / 2;
    const around = middle >= from && middle <= to ? middle : (from + to) / 2;
    this.setWindow(zoomWindow([from, to], factor, around, start, end));
  }

  #isZoomed() {
    const [from, to] = this.#context.window;
    const { start, end } = this.#trace;
    return from > start || to < end;
  }

  #relist({ anchor = true } = {}) {
    const { collapsed } = this.#context;
    const visible = [];
    let hiddenBelow = Infinity;
    for (const node of this.#trace.order) {
      if (node.depth > hiddenBelow) continue;
      hiddenBelow = collapsed.has(node.key) ? node.depth : Infinity;
      visible.push(node);
    }
    this.rows.setItems(visible, { anchor });
    this.rows.refresh();
    // A chosen row that is folded away leaves its place to what it was folded into.
    let { selected } = this;
    const shown = new Set(visible);
    while (selected !== null && !shown.has(selected)) selected = selected.parent;
    if (selected !== null && selected !== this.selected) this.select(selected.key, { reveal: true });
  }

  #toggle(node, open = this.#context.collapsed.has(node.key)) {
    if (node.children.length === 0) return;
    if (open) this.#context.collapsed.delete(node.key);
    else this.#context.collapsed.add(node.key);
    this.#relist();
  }

  #unfoldAbove(node) {
    let changed = false;
    for (let at = node.parent; at !== null; at = at.parent) changed = this.#context.collapsed.delete(at.key) || changed;
    if (changed) this.#relist();
  }

  #rowKey(event, node) {
    const { collapsed } = this.#context;
    if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      const { start, end } = this.#trace;
      this.setWindow(panWindow(this.#context.window, event.key === "ArrowLeft" ? -0.2 : 0.2, start, end));
    } else if (event.key === "ArrowRight") {
      if (collapsed.has(node.key)) this.#toggle(node, true);
      else if (node.children.length > 0) this.select(node.children[0].key, { focus: true });
    } else if (event.key === "ArrowLeft") {
      if (node.children.length > 0 && !collapsed.has(node.key)) this.#toggle(node, false);
      else if (node.parent) this.select(node.parent.key, { focus: true });
    } else return false;
    return true;
  }

  #drawAxis() {
    const marks = ticks(this.#context.window, this.#trace.start, this.axis.clientWidth > 560 ? 7 : 4);
    fill(
      this.axis,
      marks.map(({ at, offset }) => el("span", { class: `axis-tick${at > 0.94 ? " is-last" : ""}`, css: { left: `${at * 100}%` }, text: tick(offset) })),
    );
    fill(this.marks, logMarks(this.#logs, this.#context.window).map((mark, at) => el("span", { key: at, class: `log-mark is-${mark.level}`, title: mark.title, css: { left: `${mark.at * 100}%` } })));
    fill(this.grid, marks.map(({ at }) => el("span", { class: "grid-line", css: { left: `${at * 100}%` } })));
  }

  // The pointer: a line in time, a tooltip, Ctrl and wheel to zoom.

  #watchPointer() {
    const body = this.rows.viewport;
    /** @type {{ x: number, y: number, target: any } | null} */
    let last = null;
    const update = perFrame(() => last && this.#hover(last));
    body.addEventListener("pointermove", (event) => {
      last = { x: event.clientX, y: event.clientY, target: event.target };
      update();
    });
    body.addEventListener("pointerleave", () => {
      last = null;
      this.tooltip.hidden = true;
      this.cursor.hidden = true;
    });
    body.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const share = this.#shareAt(event.clientX);
        const [from, to] = this.#context.window;
        const around = from + Math.min(1, Math.max(0, share)) * (to - from);
        this.setWindow(zoomWindow([from, to], event.deltaY > 0 ? 1.25 : 0.8, around, this.#trace.start, this.#trace.end));
      },
      { passive: false },
    );
    new ResizeObserver(perFrame(() => this.#trace && this.#drawAxis())).observe(this.axis);
  }

  #shareAt(x) {
    const box = this.axis.getBoundingClientRect();
    return (x - box.left) / box.width;
  }

  #hover({ x, y, target }) {
    const share = this.#shareAt(x);
    const inLanes = share >= 0 && share <= 1;
    this.cursor.hidden = !inLanes;
    if (inLanes) {
      const [from, to] = this.#context.window;
      css(this.cursor, { "--at": share });
      this.cursorLabel.textContent = duration(from + share * (to - from) - this.#trace.start);
      this.cursorLabel.classList.toggle("is-left", share > 0.9);
    }
    const row = target.closest?.(".bar-row");
    const node = row && inLanes ? this.#trace.byKey.get(row.dataset.key) : undefined;
    this.tooltip.hidden = node === undefined;
    if (node === undefined) return;
    fill(this.tooltip, tooltipOf(node, this.#trace, selfTime(node)));
    const { width, height } = this.tooltip.getBoundingClientRect();
    const left = Math.max(8, Math.min(x + 14, innerWidth - width - 8));
    const top = y + 18 + height > innerHeight ? y - height - 12 : y + 18;
    css(this.tooltip, { left: `${left}px`, top: `${top}px` });
  }

  /** Names take as much as the reader chose, but leave the larger part of a narrow window to the lanes. */
  #setNameWidth(pixels) {
    this.#nameWidth = pixels;
    const most = Math.min(NAME_WIDTH.most, this.element.clientWidth * NAME_WIDTH.share || NAME_WIDTH.most);
    const width = Math.round(Math.min(most, Math.max(Math.min(NAME_WIDTH.least, most), pixels)));
    css(this.element, { "--name-width": `${width}px` });
    this.splitter.setAttribute("aria-valuenow", String(width));
    this.splitter.setAttribute("aria-valuemin", String(NAME_WIDTH.least));
    this.splitter.setAttribute("aria-valuemax", String(NAME_WIDTH.most));
  }

  #dragSplitter(event) {
    event.preventDefault();
    const left = this.element.getBoundingClientRect().left;
    const move = (moved) => this.#setNameWidth(moved.clientX - left);
    const up = () => {
      this.splitter.removeEventListener("pointermove", move);
      this.splitter.removeEventListener("pointerup", up);
    };
    this.splitter.setPointerCapture(event.pointerId);
    this.splitter.addEventListener("pointermove", move);
    this.splitter.addEventListener("pointerup", up);
  }

  #splitterKey(event) {
    const step = { ArrowLeft: -NAME_WIDTH.step, ArrowRight: NAME_WIDTH.step }[event.key];
    if (!step) return;
    event.preventDefault();
    this.#setNameWidth(Number(this.splitter.getAttribute("aria-valuenow")) + step);
  }
}

/**
 * The window to begin with: all of the trace, but of one that has never ended as much as was recorded.
 * @param {Trace} trace
 * @returns {Window}
 */
function recorded(trace) {
  const { start, known_end, end } = trace;
  const width = known_end - start;
  return end - known_end >= NEVER_ENDED_AFTER_S && width > 0 ? [start, known_end + width * 0.15] : [start, end];
}

/** The buttons above the timeline. */
export function waterfallTools(waterfall) {
  const button = (name, label, act) => el("button", { type: "button", class: "icon-button", title: label, "aria-label": label, on: { click: act } }, icon(name));
  return fill(
    make("div", { class: "tool-group", role: "group", "aria-label": "Timeline" }),
    button("plus", "Zoom in (+)", () => waterfall.zoom(0.5)),
    button("minus", "Zoom out (-)", () => waterfall.zoom(2)),
    button("fit", "See all (0)", () => waterfall.resetWindow()),
    el("button", { type: "button", class: "button small", text: "Fold", title: "Fold all below the first level", on: { click: () => waterfall.collapseAll() } }),
    el("button", { type: "button", class: "button small", text: "Unfold", on: { click: () => waterfall.expandAll() } }),
  );
}
