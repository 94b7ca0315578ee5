// @ts-check
// A list that keeps only the rows in sight in the document, with one tab stop and the arrow keys for the rest.
//
// The active row stays in the document even when it is scrolled out of sight, so that focus is never lost.

import { cloneElement, css, fill, make, perFrame } from "./dom.js";

const OVERSCAN_ROWS = 8;

/** @returns {HTMLElement[]} */
const rowsOf = (spacer) => [...spacer.children];

export class VirtualList {
  /** @type {any[]} */
  #items = [];
  #drawn = new Map(); // key -> {item, description} of the rows in the document
  /** @type {string | null} */
  #active = null; // key of the row with the tab stop
  #activeAt = 0; // where it was last
  #options;

  /**
   * `rowHeight` in pixels; `keyOf(item)`; `render(item)` describes a row, `selected()` is the key of the chosen
   * one, where rows can be chosen; `role` and `label` of the container;
   * `onActivate(item, event)` for Enter and click; `onMove(item)` when the active row changes by hand;
   * `onKey(event, item)` sees other keys first and returns true when it used one; `onNearEnd()` near the last row.
   */
  constructor(options) {
    this.#options = options;
    this.spacer = make("div", { class: "virtual-spacer", role: options.role, "aria-label": options.label });
    this.viewport = make("div", { class: "virtual", tabindex: "-1" }, this.spacer);
    this.draw = perFrame(() => this.drawNow());
    this.viewport.addEventListener("scroll", this.draw, { passive: true });
    this.spacer.addEventListener("keydown", (event) => this.#keydown(event));
    this.spacer.addEventListener("click", (event) => this.#click(event));
    this.spacer.addEventListener("focusin", (event) => this.#focusin(event));
    new ResizeObserver(() => this.#resized()).observe(this.viewport);
  }

  /** Headings beside the rows leave out as much as the scrollbar takes, which differs by system. */
  #resized() {
    const { offsetWidth, clientWidth, parentElement } = this.viewport;
    for (let at = parentElement, up = 0; at !== null && up < 2; at = at.parentElement, up += 1) {
      css(at, { "--gutter": `${offsetWidth - clientWidth}px` });
    }
    this.draw();
  }

  get items() {
    return this.#items;
  }

  /** The items whose rows are in the document. */
  get drawn() {
    return [...this.#drawn.values()].map(({ item }) => item);
  }

  get activeItem() {
    const index = this.#activeIndex();
    return index < 0 ? null : this.#items[index];
  }

  /** Replaces the items. `anchor`: keeps what is in sight where it is when rows come in above. */
  setItems(items, { anchor = false } = {}) {
    const { rowHeight, keyOf } = this.#options;
    const top = Math.floor(this.viewport.scrollTop / rowHeight);
    const first = anchor && top > 0 ? this.#items[top] : undefined;
    const had = this.#activeIndex();
    this.#items = items;
    css(this.spacer, { height: `${items.length * rowHeight}px` });
    if (first !== undefined) {
      const key = keyOf(first);
      const now = items.findIndex((item) => keyOf(item) === key);
      if (now >= 0 && now !== top) this.viewport.scrollTop += (now - top) * rowHeight;
    }
    // A row that is gone leaves the tab stop to the one that took its place.
    if (this.#activeIndex() < 0) this.#active = items.length > 0 ? keyOf(items[Math.min(items.length - 1, Math.max(0, had))]) : null;
    this.draw();
  }

  /** Describes all rows in sight anew, for changes that the items do not show (zoom, selection, slow mark). */
  refresh() {
    this.#drawn.clear();
    this.draw();
  }

  /** Moves the tab stop, and optionally focus and sight, to a key. */
  activate(key, { focus = false, reveal = true } = {}) {
    const before = this.#active;
    this.#active = key;
    const index = this.#activeIndex();
    if (index < 0) {
      this.#active = before;
      return false;
    }
    if (reveal) this.reveal(index);
    this.drawNow();
    if (focus) this.#elementOf(key)?.focus({ preventScroll: true });
    return true;
  }

  /** Moves focus to the row with the tab stop; false when there is none. */
  focus() {
    return this.#active !== null && this.activate(this.#active, { focus: true });
  }

  reveal(index) {
    const { rowHeight } = this.#options;
    const top = index * rowHeight;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight) this.viewport.scrollTop = top + rowHeight - clientHeight;
  }

  drawNow() {
    const { rowHeight, onNearEnd } = this.#options;
    const { scrollTop, clientHeight } = this.viewport;
    const from = Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN_ROWS);
    const to = Math.min(this.#items.length, Math.ceil((scrollTop + clientHeight) / rowHeight) + OVERSCAN_ROWS);
    const indices = Array.from({ length: Math.max(0, to - from) }, (_, n) => from + n);
    const active = this.#activeIndex();
    // In the order of the list always: an element that is moved in the document loses focus.
    if (active >= to) indices.push(active);
    else if (active >= 0 && active < from) indices.unshift(active);
    const drawn = new Map();
    const hadFocus = this.spacer.contains(document.activeElement);
    fill(this.spacer, indices.map((index) => this.#row(index, index === active, drawn)));
    this.#drawn = drawn;
    if (hadFocus && !this.spacer.contains(document.activeElement)) this.#elementOf(this.#active)?.focus({ preventScroll: true });
    if (onNearEnd && this.#items.length > 0 && to >= this.#items.length - 2 * OVERSCAN_ROWS) onNearEnd();
  }

  #row(index, active, drawn) {
    const { rowHeight, keyOf, render, role, selected } = this.#options;
    const item = this.#items[index];
    const key = keyOf(item);
    const before = this.#drawn.get(key);
    const description = before?.item === item ? before.description : render(item);
    drawn.set(key, { item, description });
    return cloneElement(description, {
      key,
      class: `virtual-row ${description.props.class}`,
      style: { transform: `translateY(${index * rowHeight}px)` },
      tabindex: active ? "0" : "-1",
      "data-key": key,
      ...(selected && { "aria-selected": String(selected() === key) }),
      // A tree counts siblings itself.
      ...(role === "listbox" && { "aria-posinset": String(index + 1), "aria-setsize": String(this.#items.length) }),
    });
  }

  #activeIndex() {
    if (this.#active === null) return -1;
    const { keyOf } = this.#options;
    const near = this.#items[this.#activeAt];
    if (near === undefined || keyOf(near) !== this.#active) this.#activeAt = this.#items.findIndex((item) => keyOf(item) === this.#active);
    return this.#activeAt;
  }

  #elementOf(key) {
    return rowsOf(this.spacer).find((element) => element.dataset.key === key);
  }

  #keyOf(event) {
    return event.target.closest?.(".virtual-row")?.dataset.key;
  }

  #focusin(event) {
    const key = this.#keyOf(event);
    if (key === undefined || key === this.#active) return;
    this.#active = key;
    this.draw();
  }

  #click(event) {
    const key = this.#keyOf(event);
    if (key === undefined || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    if (this.activate(key, { focus: true, reveal: false })) this.#options.onActivate?.(this.#items[this.#activeIndex()], event);
  }

  #keydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (this.key(event)) event.preventDefault();
  }

  /** Does what a key does on the row with the tab stop; false when it does nothing there. */
  key(event) {
    const index = this.#activeIndex();
    if (index < 0) return false;
    if (this.#options.onKey?.(event, this.#items[index])) return true;
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / this.#options.rowHeight) - 1);
    const last = this.#items.length - 1;
    const steps = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: last };
    if (event.key in steps) {
      const item = this.#items[Math.min(last, Math.max(0, steps[event.key]))];
      this.activate(this.#options.keyOf(item), { focus: true });
      this.#options.onMove?.(item);
    } else if (event.key === "Enter" || event.key === " ") {
      this.#options.onActivate?.(this.#items[index], event);
    } else return false;
    return true;
  }
}
