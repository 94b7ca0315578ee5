// @ts-check
// Moving about in an SVG: drag, wheel, buttons, keys.

/** Pixels of the screen that stay free around all of it: names do not become smaller with the map. */
const AROUND = { x: 36, y: 12 };
const CLOSEST = 2.5;
/** All of a very large map may be further away than this. */
const FURTHEST = 0.1;

export class PanZoom {
  #svg;
  #layer;
  #onScale;
  #size = { width: 1, height: 1 };
  #x = 0;
  #y = 0;
  #scale = 1;
  #told = 0; // the scale of which was told last
  #moved = false; // the reader chose the view; new data leaves it alone

  /** `layer` is the group inside `svg` that moves; `onScale()` hears when things become larger or smaller. */
  constructor(svg, layer, onScale) {
    this.#svg = svg;
    this.#layer = layer;
    this.#onScale = onScale;
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.#drag(event));
    new ResizeObserver(() => !this.#moved && this.fit()).observe(svg);
  }

  /** The size of what is drawn; shows all of it unless the reader has moved. */
  setSize(size, { keep }) {
    this.#size = size;
    if (!keep) this.#moved = false;
    if (!this.#moved) this.fit();
  }

  /** Pixels of the screen for one of the drawing. */
  get scale() {
    return this.#scale;
  }

  #whole() {
    const { clientWidth, clientHeight } = this.#svg;
    return Math.min(1.15, (clientWidth - 2 * AROUND.x) / this.#size.width, (clientHeight - 2 * AROUND.y) / this.#size.height);
  }

  fit() {
    const { clientWidth, clientHeight } = this.#svg;
    if (clientWidth <= 2 * AROUND.x || clientHeight <= 2 * AROUND.y) return;
    this.#scale = this.#whole();
    this.#x = (clientWidth - this.#size.width * this.#scale) / 2;
    this.#y = (clientHeight - this.#size.height * this.#scale) / 2;
    this.#moved = false;
    this.#apply();
  }

  zoom(factor, x = this.#svg.clientWidth / 2, y = this.#svg.clientHeight / 2) {
    const scale = Math.min(CLOSEST, Math.max(Math.min(FURTHEST, this.#whole()), this.#scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#moved = true;
    this.#apply();
  }

  /** Brings a point of the drawing into sight, at least so close. */
  reveal(x, y, { margin = 80, closest = 0 } = {}) {
    if (this.#scale < closest) {
      this.#scale = closest;
      this.#x = this.#svg.clientWidth / 2 - x * closest;
      this.#y = this.#svg.clientHeight / 2 - y * closest;
      this.#moved = true;
    }
    const at = { x: this.#x + x * this.#scale, y: this.#y + y * this.#scale };
    const { clientWidth, clientHeight } = this.#svg;
    const over = (value, most) => (value < margin ? margin - value : value > most - margin ? most - margin - value : 0);
    this.#x += over(at.x, clientWidth);
    this.#y += over(at.y, clientHeight);
    this.#apply();
  }

  #apply() {
    if (this.#scale !== this.#told) this.#onScale();
    this.#told = this.#scale;
    this.#layer.setAttribute("transform", `translate(${this.#x.toFixed(2)} ${this.#y.toFixed(2)}) scale(${this.#scale.toFixed(4)})`);
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.#svg.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey || Math.abs(event.deltaY) >= Math.abs(event.deltaX)) {
      this.zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
    } else {
      this.#x -= event.deltaX;
      this.#moved = true;
      this.#apply();
    }
  }

  #drag(event) {
    if (event.button !== 0) return;
    const from = { x: event.clientX - this.#x, y: event.clientY - this.#y };
    let dragging = false;
    const move = (moved) => {
      const far = Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY) > 4;
      if (!dragging && !far) return;
      if (!dragging) this.#svg.setPointerCapture(event.pointerId);
      dragging = true;
      this.#moved = true;
      this.#x = moved.clientX - from.x;
      this.#y = moved.clientY - from.y;
      this.#apply();
    };
    const up = () => {
      this.#svg.removeEventListener("pointermove", move);
      this.#svg.removeEventListener("pointerup", up);
      this.#svg.removeEventListener("pointercancel", up);
    };
    this.#svg.addEventListener("pointermove", move);
    this.#svg.addEventListener("pointerup", up);
    this.#svg.addEventListener("pointercancel", up);
  }
}
