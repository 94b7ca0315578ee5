// @ts-check
// Response times as bars, stacked by health. A click takes a bucket, a drag or Shift takes several.

import { el, fill, make } from "./dom.js";
import { count, duration, plural, tick } from "./format.js";
import { healthWord, shares, total } from "./health.js";

/** @typedef {{ from_s: number | null, to_s: number | null }} Range */
/** @typedef {{ from_s: number, to_s: number | null, ok: number, error: number, throttle: number, fault: number }} Bucket */

/** The widest label and some air. */
const LABEL_PX = 54;

export class Histogram {
  #onRange;
  /** @type {Bucket[]} */
  #buckets = [];
  /** @type {Range | null} as in the filter */
  #range = null;
  /** @type {{ first: number, last: number } | null} while the pointer is down */
  #drag = null;
  #anchor = 0; // where Shift extends from
  #active = 0; // bar with the tab stop

  /** `onRange(from_s, to_s)` with null for an open end, `onRange(null, null)` to take the range away. */
  constructor({ onRange, label, height = 64 }) {
    this.#onRange = onRange;
    this.bars = make("div", {
      class: "histogram-bars",
      role: "group",
      "aria-label": label,
      css: { "--histogram-height": `${height}px` },
      on: {
        pointerdown: (event) => this.#pointerDown(event),
        pointermove: (event) => this.#pointerMove(event),
        pointerup: () => this.#pointerUp(),
        pointercancel: () => this.#cancel(),
        keydown: (event) => this.#keydown(event),
      },
    });
    this.axis = make("div", { class: "histogram-axis", "aria-hidden": "true" });
    this.element = make("div", { class: "histogram" }, this.bars, this.axis);
    new ResizeObserver(() => this.#showAxis()).observe(this.axis);
  }

  set label(text) {
    this.bars.setAttribute("aria-label", text);
  }

  /**
   * `range` as the filter has it.
   * @param {Bucket[]} buckets
   * @param {Range | null} range
   */
  show(buckets, range) {
    this.#range = range;
    if (this.#drag) return; // the bars stay still under the pointer
    const shapes = (list) => list.map((bucket) => bucket.from_s).join();
    const same = shapes(buckets) === shapes(this.#buckets);
    this.#buckets = buckets;
    const highest = Math.max(1, ...buckets.map(total));
    if (!same) {
      this.#active = Math.min(this.#active, Math.max(0, buckets.length - 1));
      this.#showAxis();
    }
    fill(this.bars, buckets.map((bucket, index) => bar(bucket, index, highest)));
    this.#mark();
  }

  /** As many labels as there is room for. */
  #showAxis() {
    const room = this.axis.clientWidth;
    if (room === 0) return; // not in the document yet
    const every = Math.max(1, Math.ceil((this.#buckets.length * LABEL_PX) / room));
    fill(this.axis, this.#buckets.map((bucket, index) => el("span", { text: index % every === 0 ? tick(bucket.from_s) : "" })));
  }

  #mark() {
    const span = this.#drag ? this.#dragSpan() : null;
    [...this.bars.children].forEach((bar, index) => {
      const inside = span ? index >= span[0] && index <= span[1] : this.#inRange(this.#buckets[index]);
      bar.setAttribute("aria-pressed", String(inside && (span !== null || this.#range !== null)));
      /** @type {HTMLElement} */ (bar).tabIndex = index === this.#active ? 0 : -1;
    });
    this.bars.classList.toggle("has-range", span !== null || this.#range !== null);
  }

  #inRange(bucket) {
    if (this.#range === null) return false;
    const { from_s, to_s } = this.#range;
    const small = 1e-9;
    return bucket.from_s >= (from_s ?? 0) - small && (to_s === null || (bucket.to_s ?? Infinity) <= to_s + small);
  }

  #dragSpan() {
    const { first, last } = /** @type {{ first: number, last: number }} */ (this.#drag);
    return first <= last ? [first, last] : [last, first];
  }

  #indexAt(event) {
    const box = this.bars.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * this.#buckets.length);
    return Math.min(this.#buckets.length - 1, Math.max(0, at));
  }

  #pointerDown(event) {
    if (event.button !== 0 || this.#buckets.length === 0) return;
    const index = this.#indexAt(event);
    this.bars.setPointerCapture(event.pointerId);
    this.#drag = { first: event.shiftKey ? this.#anchor : index, last: index };
    if (!event.shiftKey) this.#anchor = index;
    this.#active = index;
    this.#mark();
    this.#focus(index);
  }

  #focus(index) {
    /** @type {HTMLElement} */ (this.bars.children[index]).focus({ preventScroll: true });
  }

  #pointerMove(event) {
    if (!this.#drag) return;
    this.#drag.last = this.#indexAt(event);
    this.#mark();
  }

  #pointerUp() {
    if (!this.#drag) return;
    const [first, last] = this.#dragSpan();
    this.#drag = null;
    this.#take(first, last);
  }

  #cancel() {
    this.#drag = null;
    this.#mark();
  }

  #take(first, last) {
    const from_s = this.#buckets[first].from_s;
    const to_s = this.#buckets[last].to_s;
    const same = this.#range !== null && this.#range.from_s === (from_s > 0 ? from_s : null) && this.#range.to_s === to_s;
    if (same) this.#onRange(null, null);
    else this.#onRange(from_s, to_s);
    this.#mark();
  }

  #keydown(event) {
    const last = this.#buckets.length - 1;
    const steps = { ArrowRight: this.#active + 1, ArrowLeft: this.#active - 1, Home: 0, End: last };
    if (event.key in steps) {
      event.preventDefault();
      event.stopPropagation();
      this.#active = Math.min(last, Math.max(0, steps[event.key]));
      this.#mark();
      this.#focus(this.#active);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      const [from, to] = event.shiftKey ? [this.#anchor, this.#active].sort((a, b) => a - b) : [this.#active, this.#active];
      if (!event.shiftKey) this.#anchor = this.#active;
      this.#take(from, to);
    }
  }
}

function bar(bucket, index, highest) {
  const all = total(bucket);
  const parts = shares(bucket).reverse();
  const span = bucket.to_s === null ? `${tick(bucket.from_s)} and more` : `${tick(bucket.from_s)} to ${tick(bucket.to_s)}`;
  const words = parts.filter((part) => part.health !== "ok").map((part) => `${count(part.n)} ${healthWord(part.health).toLowerCase()}`);
  const label = [`${span}: ${plural(all, "request")}`, ...words].join(", ");
  // The square root lets a single fault beside a thousand good requests be seen.
  const height = all === 0 ? 0 : Math.max(0.05, Math.sqrt(all / highest));
  return el(
    "button",
    { type: "button", class: "bucket", "data-index": index, "aria-label": label, title: label },
    el(
      "span",
      { class: "bucket-stack", css: { height: `${(height * 100).toFixed(2)}%` } },
      parts.map((part) => el("span", { class: `f-${part.health}`, css: { "flex-grow": part.n } })),
    ),
  );
}

/** Percentiles beside a histogram. */
export function percentiles(latency) {
  const figure = (label, seconds) => el("div", { class: "figure" }, el("dt", { text: label }), el("dd", { text: duration(seconds ?? NaN) }));
  return el("dl", { class: "figures" }, figure("p50", latency.p50_s), figure("p95", latency.p95_s), figure("p99", latency.p99_s));
}

