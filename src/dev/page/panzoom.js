// @ts-check
// Moving about in an SVG: drag, wheel, buttons, keys.

const CLOSEST = 2.5;
const FURTHEST = 0.1;

export class PanZoom {
  #svg;
  #layer;
  #size = { width: 1, height: 1 };
  #x = 0;
  #y = 0;
  #scale = 1;
  #moved = false; // the reader chose the view; new data leaves it alone

  /** `layer` is the group inside `svg` that moves. */
  constructor(svg, layer) {
    this.#svg = svg;
    this.#layer = layer;
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

  fit() {
    const { clientWidth, clientHeight } = this.#svg;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.#scale = Math.min(1.15, Math.max(FURTHEST, Math.min(clientWidth / this.#size.width, clientHeight / this.#size.height)));
    this.#x = (clientWidth - this.#size.width * this.#scale) / 2;
    this.#y = (clientHeight - this.#size.height * this.#scale) / 2;
    this.#moved = false;
    this.#apply();
  }

  zoom(factor, x = this.#svg.clientWidth / 2, y = this.#svg.clientHeight / 2) {
    const scale = Math.min(CLOSEST, Math.max(FURTHEST, this.#scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#moved = true;
    this.#apply();
  }

  /** Brings a point of the drawing into sight. */
  reveal(x, y, margin = 80) {
    const at = { x: this.#x + x * this.#scale, y: this.#y + y * this.#scale };
    const { clientWidth, clientHeight } = this.#svg;
    const over = (value, most) => (value < margin ? margin - value : value > most - margin ? most - margin - value : 0);
    this.#x += over(at.x, clientWidth);
    this.#y += over(at.y, clientHeight);
    this.#apply();
  }

  #apply() {
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
