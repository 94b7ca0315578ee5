// Response times as bars, stacked by health. A click takes a bucket, a drag or Shift takes several.

import { el, fill } from "./dom.js";
import { count, duration, plural, tick } from "./format.js";
import { healthWord, shares, total } from "./health.js";

export class Histogram {
  #onRange;
  #buckets = [];
  #range = null; // {from_s, to_s} as in the filter
  #drag = null; // {first, last} while the pointer is down
  #anchor = 0; // where Shift extends from
  #active = 0; // bar with the tab stop

  /** `onRange(from_s, to_s)` with null for an open end, `onRange(null, null)` to take the range away. */
  constructor({ onRange, label, height = 64 }) {
    this.#onRange = onRange;
    this.bars = el("div", {
      class: "histogram-bars",
      role: "group",
      "aria-label": label,
      css: { "--histogram-height": `${height}px` },
      on: {
        pointerdown: (event) => this.#pointerDown(event),
        pointermove: (event) => this.#pointerMove(event),
        pointerup: (event) => this.#pointerUp(event),
        pointercancel: () => this.#cancel(),
        keydown: (event) => this.#keydown(event),
      },
    });
    this.axis = el("div", { class: "histogram-axis", "aria-hidden": "true" });
    this.element = el("div", { class: "histogram" }, this.bars, this.axis);
  }

  /** `buckets` as in the contract; `range` as the filter has it. */
  show(buckets, range) {
    this.#range = range;
    if (this.#drag) return; // the bars stay still under the pointer
    const shapes = (list) => list.map((bucket) => bucket.from_s).join();
    const same = shapes(buckets) === shapes(this.#buckets) && this.bars.childElementCount === buckets.length;
    this.#buckets = buckets;
    const highest = Math.max(1, ...buckets.map(total));
    if (!same) {
      this.#active = Math.min(this.#active, Math.max(0, buckets.length - 1));
      fill(this.bars, buckets.map((_, index) => el("button", { type: "button", class: "bucket", "data-index": index })));
      const every = Math.max(1, Math.ceil(buckets.length / 14));
      fill(this.axis, buckets.map((bucket, index) => el("span", { text: index % every === 0 ? tick(bucket.from_s) : "" })));
    }
    buckets.forEach((bucket, index) => this.#draw(this.bars.children[index], bucket, highest));
    this.#mark();
  }

  #draw(bar, bucket, highest) {
    const all = total(bucket);
    const parts = shares(bucket).reverse();
    const span = bucket.to_s === null ? `${tick(bucket.from_s)} and more` : `${tick(bucket.from_s)} to ${tick(bucket.to_s)}`;
    const words = parts.filter((part) => part.health !== "ok").map((part) => `${count(part.n)} ${healthWord(part.health).toLowerCase()}`);
    const label = [`${span}: ${plural(all, "request")}`, ...words].join(", ");
    bar.setAttribute("aria-label", label);
    bar.title = label;
    // The square root lets a single fault beside a thousand good requests be seen.
    const height = all === 0 ? 0 : Math.max(0.05, Math.sqrt(all / highest));
    fill(
      bar,
      el(
        "span",
        { class: "bucket-stack", css: { height: `${(height * 100).toFixed(2)}%` } },
        parts.map((part) => el("span", { class: `f-${part.health}`, css: { "flex-grow": part.n } })),
      ),
    );
  }

  #mark() {
    const span = this.#drag ? this.#dragSpan() : null;
    [...this.bars.children].forEach((bar, index) => {
      const inside = span ? index >= span[0] && index <= span[1] : this.#inRange(this.#buckets[index]);
      bar.setAttribute("aria-pressed", String(inside && (span !== null || this.#range !== null)));
      bar.tabIndex = index === this.#active ? 0 : -1;
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
    const { first, last } = this.#drag;
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
    this.bars.children[index].focus({ preventScroll: true });
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
      this.bars.children[this.#active].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      const [from, to] = event.shiftKey ? [this.#anchor, this.#active].sort((a, b) => a - b) : [this.#active, this.#active];
      if (!event.shiftKey) this.#anchor = this.#active;
      this.#take(from, to);
    }
  }
}

/** Percentiles beside a histogram. */
export function percentiles(latency) {
  const figure = (label, seconds) => el("div", { class: "figure" }, el("dt", { text: label }), el("dd", { text: duration(seconds ?? NaN) }));
  return el("dl", { class: "figures" }, figure("p50", latency.p50_s), figure("p95", latency.p95_s), figure("p99", latency.p99_s));
}

