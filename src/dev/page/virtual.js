// A list that keeps only the rows in sight in the document, with one tab stop and the arrow keys for the rest.
//
// The active row stays in the document even when it is scrolled out of sight, so that focus is never lost.

import { css, el, perFrame } from "./dom.js";

const OVERSCAN_ROWS = 8;

export class VirtualList {
  #items = [];
  #rows = new Map(); // key -> {element, item, index}
  #active = null; // key of the row with the tab stop
  #options;

  /**
   * `rowHeight` in pixels; `keyOf(item)`; `render(item, index)` makes a row; `role` and `label` of the container;
   * `onActivate(item, event)` for Enter and click; `onMove(item)` when the active row changes by hand;
   * `onKey(event, item)` sees other keys first and returns true when it used one; `onNearEnd()` near the last row.
   */
  constructor(options) {
    this.#options = options;
    this.spacer = el("div", { class: "virtual-spacer", role: options.role, "aria-label": options.label });
    this.viewport = el("div", { class: "virtual", tabindex: "-1" }, this.spacer);
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

  get activeItem() {
    const index = this.#activeIndex();
    return index < 0 ? null : this.#items[index];
  }

  /** Replaces the items. `anchor`: keeps what is in sight where it is when rows come in above. */
  setItems(items, { anchor = false } = {}) {
    const { rowHeight, keyOf } = this.#options;
    const top = Math.floor(this.viewport.scrollTop / rowHeight);
    const first = anchor && top > 0 ? this.#items[top] : undefined;
    this.#items = items;
    css(this.spacer, { height: `${items.length * rowHeight}px` });
    if (first !== undefined) {
      const key = keyOf(first);
      const now = items.findIndex((item) => keyOf(item) === key);
      if (now >= 0 && now !== top) this.viewport.scrollTop += (now - top) * rowHeight;
    }
    if (this.#activeIndex() < 0) this.#active = items.length > 0 ? keyOf(items[0]) : null;
    this.draw();
  }

  /** Makes all rows in sight anew, for changes that the items do not show (zoom, selection, slow mark). */
  refresh() {
    for (const row of this.#rows.values()) row.item = undefined;
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
    if (focus) this.#rows.get(key)?.element.focus({ preventScroll: true });
    return true;
  }

  reveal(index) {
    const { rowHeight } = this.#options;
    const top = index * rowHeight;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight) this.viewport.scrollTop = top + rowHeight - clientHeight;
  }

  drawNow() {
    const { rowHeight, keyOf, onNearEnd } = this.#options;
    const { scrollTop, clientHeight } = this.viewport;
    const from = Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN_ROWS);
    const to = Math.min(this.#items.length, Math.ceil((scrollTop + clientHeight) / rowHeight) + OVERSCAN_ROWS);
    const focused = document.activeElement;
    const wanted = new Set();
    const show = (index) => {
      const item = this.#items[index];
      const key = keyOf(item);
      wanted.add(key);
      this.#place(key, item, index, focused);
    };
    for (let index = from; index < to; index += 1) show(index);
    const active = this.#activeIndex();
    if (active >= 0 && (active < from || active >= to)) show(active);
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    if (onNearEnd && this.#items.length > 0 && to >= this.#items.length - 2 * OVERSCAN_ROWS) onNearEnd();
  }

  #place(key, item, index, focused) {
    const { rowHeight, render, role } = this.#options;
    let row = this.#rows.get(key);
    if (!row || row.item !== item) {
      const element = render(item, index);
      element.classList.add("virtual-row");
      if (row) {
        const hadFocus = row.element === focused;
        // Before it is in the document, and before it is given focus: what has no tabindex takes none.
        element.tabIndex = key === this.#active ? 0 : -1;
        row.element.replaceWith(element);
        if (hadFocus) element.focus({ preventScroll: true });
      } else this.spacer.append(element);
      row = { element, item, index: -1 };
      this.#rows.set(key, row);
    }
    if (row.index !== index) {
      row.index = index;
      css(row.element, { transform: `translateY(${index * rowHeight}px)` });
      if (role === "listbox") row.element.setAttribute("aria-posinset", index + 1); // a tree counts siblings itself
    }
    if (role === "listbox") row.element.setAttribute("aria-setsize", this.#items.length);
    row.element.tabIndex = key === this.#active ? 0 : -1;
    row.element.dataset.key = key;
  }

  #activeIndex() {
    if (this.#active === null) return -1;
    const row = this.#rows.get(this.#active);
    const { keyOf } = this.#options;
    if (row && row.index < this.#items.length && row.index >= 0 && keyOf(this.#items[row.index]) === this.#active) {
      return row.index;
    }
    return this.#items.findIndex((item) => keyOf(item) === this.#active);
  }

  #rowOf(event) {
    const element = event.target.closest?.(".virtual-row");
    return element ? this.#rows.get(element.dataset.key) : undefined;
  }

  #focusin(event) {
    const row = this.#rowOf(event);
    if (!row || row.element.dataset.key === this.#active) return;
    this.#active = row.element.dataset.key;
    this.draw();
  }

  #click(event) {
    const row = this.#rowOf(event);
    if (!row || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    this.activate(row.element.dataset.key, { focus: true, reveal: false });
    this.#options.onActivate?.(row.item ?? this.#items[row.index], event);
  }

  #keydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const index = this.#activeIndex();
    if (index < 0) return;
    if (this.#options.onKey?.(event, this.#items[index])) {
      event.preventDefault();
      return;
    }
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / this.#options.rowHeight) - 1);
    const last = this.#items.length - 1;
    const steps = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: last };
    if (event.key in steps) {
      event.preventDefault();
      const item = this.#items[Math.min(last, Math.max(0, steps[event.key]))];
      this.activate(this.#options.keyOf(item), { focus: true });
      this.#options.onMove?.(item);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#options.onActivate?.(this.#items[index], event);
    }
  }
}
