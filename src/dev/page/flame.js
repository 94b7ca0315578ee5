// @ts-check
// The flame graph of a trace: calls of one name under one caller are one bar, as wide as the time that it and what it
// called took by themselves. Large traces have few of them.

import { colourOf } from "./bars.js";
import { mergeCalls } from "./calltree.js";
import { el, fill, make } from "./dom.js";
import { duration, percent, plural } from "./format.js";

/** Pixels. */
const ROW = 24;
/** Bars of a smaller share of the width could be neither seen nor hit. */
const LEAST_SHARE = 0.0015;
/** Deeper calls are drawn when a bar above them is chosen. */
const MAX_DEPTH = 200;

/** @typedef {import("./calltree.js").Merged} Merged */
/** @typedef {import("./model.js").Trace} Trace */

export class Flame {
  #onOpen;
  /** @type {Trace} */
  #trace = /** @type {any} */ (null);
  #zoomed = ""; // key of what is as wide as all
  #active = ""; // key of the bar with the tab stop
  /** @type {Map<string, Merged>} */
  #shown = new Map();

  /** `onOpen(node)` for the longest of a bar's segments. */
  constructor({ onOpen }) {
    this.#onOpen = onOpen;
    this.bars = make("div", { class: "flame-bars", role: "tree", "aria-label": "Flame graph", on: { keydown: (event) => this.#keydown(event), click: (event) => this.#click(event), dblclick: (event) => this.#open(this.#keyOf(event)) } });
    this.hint = make("p", { class: "flame-hint muted small", text: "One bar for all calls of one name under one caller. Click or Enter shows it at full width, and again goes back; o opens the longest of them in the timeline." });
    this.element = make("section", { class: "flame card", "aria-label": "Flame graph" }, this.hint, this.bars);
  }

  /** @param {Trace} trace */
  show(trace) {
    if (trace.id !== this.#trace?.id) this.#zoomed = this.#active = "";
    this.#trace = trace;
    this.#draw();
  }

  #draw() {
    const roots = mergeCalls(this.#trace);
    const zoomed = find(roots, this.#zoomed);
    if (zoomed === null) this.#zoomed = "";
    /** @type {Merged[]} */
    const above = [];
    for (let at = zoomed?.parent ?? null; at !== null; at = at.parent) above.unshift(at);
    const all = zoomed ? zoomed.weight_s : roots.reduce((sum, root) => sum + root.weight_s, 0);
    const bars = above.map((merged, depth) => ({ merged, depth, from: 0, share: 1, above: true }));
    /** @type {{ merged: Merged, depth: number, from: number }[]} */
    const stack = [];
    const push = (list, depth, from) => {
      let at = from;
      for (const merged of list) {
        stack.push({ merged, depth, from: at });
        at += merged.weight_s;
      }
    };
    push(zoomed ? [zoomed] : roots, above.length, 0);
    while (stack.length > 0) {
      const { merged, depth, from } = /** @type {(typeof stack)[0]} */ (stack.pop());
      const share = all > 0 ? merged.weight_s / all : 1 / Math.max(1, roots.length);
      if (share < LEAST_SHARE || depth > MAX_DEPTH + above.length) continue;
      bars.push({ merged, depth, from: all > 0 ? from / all : 0, share, above: false });
      push(merged.children, depth + 1, from);
    }
    this.#shown = new Map(bars.map(({ merged }) => [merged.key, merged]));
    if (!this.#shown.has(this.#active)) this.#active = zoomed?.key ?? roots[0]?.key ?? "";
    const deepest = bars.reduce((most, { depth }) => Math.max(most, depth), 0);
    this.bars.style.setProperty("height", `${(deepest + 1) * ROW}px`);
    bars.sort((a, b) => a.depth - b.depth || a.from - b.from);
    fill(this.bars, bars.map((bar) => this.#bar(bar, all)));
  }

  #bar({ merged, depth, from, share, above }, all) {
    const { name, service, nodes, total_s, self_s, weight_s, failed, key } = merged;
    const said = [name, service !== name && `in ${service}`, nodes.length > 1 && `${nodes.length} times`, `${duration(total_s)}`, self_s < total_s && `${duration(self_s)} itself`, all > 0 && !above && percent(weight_s / all), failed > 0 && plural(failed, "failure")].filter(Boolean).join(", ");
    return el(
      "div",
      {
        key,
        class: `flame-bar ${colourOf(this.#trace, service)}${failed > 0 ? " is-failed" : ""}${above ? " is-above" : ""}`,
        role: "treeitem",
        "aria-level": depth + 1,
        "aria-selected": String(key === this.#zoomed),
        tabindex: key === this.#active ? "0" : "-1",
        "data-key": key,
        title: said,
        css: { left: `${(from * 100).toFixed(4)}%`, width: `${(share * 100).toFixed(4)}%`, top: `${depth * ROW}px` },
      },
      el("span", { class: "sr-only", text: said }),
      el("span", { class: "flame-name", "aria-hidden": "true", text: nodes.length > 1 ? `${name} × ${nodes.length}` : name }),
    );
  }

  #keyOf(event) {
    return event.target.closest?.(".flame-bar")?.dataset.key;
  }

  #zoom(key) {
    if (key === undefined) return;
    this.#zoomed = key === this.#zoomed ? "" : key;
    this.#focus(key);
  }

  #focus(key) {
    this.#active = key;
    this.#draw();
    /** @type {HTMLElement[]} */ ([...this.bars.children]).find((bar) => bar.dataset.key === key)?.focus({ preventScroll: false });
  }

  #click(event) {
    this.#zoom(this.#keyOf(event));
  }

  #open(key) {
    const merged = this.#shown.get(key);
    if (merged) this.#onOpen(merged.longest);
  }

  #keydown(event) {
    const at = this.#shown.get(this.#active);
    if (at === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const beside = at.parent ? at.parent.children : [...this.#shown.values()].filter(({ parent }) => parent === null);
    const next = { ArrowUp: at.parent, ArrowDown: at.children[0], ArrowLeft: beside[beside.indexOf(at) - 1], ArrowRight: beside[beside.indexOf(at) + 1] };
    if (event.key in next) {
      if (next[event.key] && this.#shown.has(next[event.key].key)) this.#focus(next[event.key].key);
    } else if (event.key === "Enter" || event.key === " ") this.#zoom(this.#active);
    else if (event.key === "o") this.#open(this.#active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** @param {Merged[]} roots @param {string} key @returns {Merged | null} */
function find(roots, key) {
  if (key === "") return null;
  const stack = [...roots];
  while (stack.length > 0) {
    const merged = /** @type {Merged} */ (stack.pop());
    if (merged.key === key) return merged;
    // A key begins with those above it.
    if (key.startsWith(merged.key)) stack.push(...merged.children);
  }
  return null;
}
