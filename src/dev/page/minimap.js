// @ts-check
// The whole trace in a strip, with the part in sight; dragging over it zooms.

import { make } from "./dom.js";
import { healthOf } from "./health.js";
import { colourOf } from "./bars.js";

/** @typedef {import("./model.js").Trace} Trace */

const HEIGHT = 44;

export class Minimap {
  /** @type {Trace} */
  #trace = /** @type {any} */ (null);
  /** @type {{ from: number, to: number, x: number, moved: boolean } | null} */
  #drag = null;
  #onWindow;

  /** `onWindow(from, to)` in epoch seconds. */
  constructor(onWindow) {
    this.#onWindow = onWindow;
    this.canvas = make("canvas", { class: "minimap-canvas" });
    this.veilLeft = make("div", { class: "minimap-veil" });
    this.veilRight = make("div", { class: "minimap-veil" });
    this.element = make(
      "div",
      {
        class: "minimap",
        "aria-hidden": "true", // the keys + - 0 do the same, and the rows hold what it draws
        title: "Drag to zoom in, double-click to see all",
        on: {
          pointerdown: (event) => this.#down(event),
          pointermove: (event) => this.#move(event),
          pointerup: () => this.#up(),
          pointercancel: () => (this.#drag = null),
          dblclick: () => this.#onWindow(this.#trace.start, this.#trace.end),
        },
      },
      this.canvas,
      this.veilLeft,
      this.veilRight,
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
    document.addEventListener("themechange", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(trace) {
    this.#trace = trace;
    this.draw();
  }

  setWindow(window) {
    const { start, duration } = this.#trace;
    const share = (moment) => (duration > 0 ? Math.min(1, Math.max(0, (moment - start) / duration)) : 0);
    const [from, to] = [share(window[0]), duration > 0 ? share(window[1]) : 1];
    Object.assign(this.veilLeft.style, { left: "0", width: `${from * 100}%` });
    Object.assign(this.veilRight.style, { left: `${to * 100}%`, width: `${(1 - to) * 100}%` });
  }

  draw() {
    const width = this.element.clientWidth;
    if (this.#trace === null || width === 0) return;
    const ratio = globalThis.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = HEIGHT * ratio;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, HEIGHT);
    const { order, start, duration } = this.#trace;
    const probe = make("span", { hidden: true });
    this.element.append(probe);
    const colours = palette(probe);
    const step = Math.min(5, (HEIGHT - 6) / Math.max(1, order.length));
    const scale = duration > 0 ? width / duration : 0;
    order.forEach((node, at) => {
      const health = healthOf(node);
      pen.fillStyle = colours(health === "ok" || health === "progress" ? colourOf(this.#trace, node.service) : health);
      pen.fillRect((node.start - start) * scale, 3 + at * step, Math.max(1, node.duration * scale), Math.max(0.6, step * 0.72));
    });
    probe.remove();
  }

  #at(event) {
    const box = this.element.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return this.#trace.start + share * this.#trace.duration;
  }

  #down(event) {
    if (event.button !== 0 || this.#trace === null) return;
    this.element.setPointerCapture(event.pointerId);
    this.#drag = { from: this.#at(event), to: this.#at(event), x: event.clientX, moved: false };
  }

  #move(event) {
    if (!this.#drag) return;
    if (Math.abs(event.clientX - this.#drag.x) > 3) this.#drag.moved = true;
    if (!this.#drag.moved) return;
    this.#drag.to = this.#at(event);
    this.setWindow([Math.min(this.#drag.from, this.#drag.to), Math.max(this.#drag.from, this.#drag.to)]);
  }

  #up() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.moved) return;
    this.#onWindow(Math.min(drag.from, drag.to), Math.max(drag.from, drag.to));
  }
}

/** Reads each colour of the theme once per drawing; a canvas does not know custom properties. */
function palette(probe) {
  const known = new Map();
  return (name) => {
    if (!known.has(name)) {
      probe.style.color = `var(--${name})`;
      known.set(name, getComputedStyle(probe).color);
    }
    return known.get(name);
  };
}
