// @ts-check
// What the views have in common that count over the whole store: a filter, a span of time, and an answer that follows new traces.

import * as api from "./api.js";
import { make, throttle } from "./dom.js";
import { FilterBox } from "./filterbox.js";
import { address, spanOf, spanSelect, startOf } from "./spans.js";

/** The whole store is counted, so new traces may not ask for it one by one. */
const REFRESH_MS = 2000;

export class SelectionView {
  #app;
  #path;
  #title;
  filter = "";
  span = "";

  /** `app`: go(hash), connect(url, view), disconnect(). `path`: of the address, `#/map` say. */
  constructor(app, path, title) {
    this.#app = app;
    this.#path = path;
    this.#title = title;
    this.filterBox = new FilterBox({
      known: () => ({ services: this.serviceNames(), annotations: new Map(), slow: "1" }),
      onApply: (expression) => this.go(expression, this.span),
      onLeave: () => this.filterBox.input.blur(),
    });
    this.spanSelect = spanSelect((span) => this.go(this.filter, span));
    this.refresh = throttle(() => this.sync().catch(() => {}), REFRESH_MS);
  }

  /** The view with its heading and the fields to select with above `parts`. */
  framed(name, ...parts) {
    return make("div", { class: `view ${name}` }, make("h1", { class: "sr-only", text: this.#title }), make("div", { class: "toolbar" }, this.filterBox.element, this.spanSelect), ...parts);
  }

  /** Names to complete in a filter: of the view.
   * @returns {string[]} */
  serviceNames() {
    throw new Error("a view has names of services");
  }

  /** Asks for the selection and shows the answer: of the view.
   * @param {{ filter: string, start: number | null }} _selection
   * @returns {Promise<void>} */
  async load(_selection) {
    throw new Error("a view loads its answer");
  }

  async show(query) {
    document.title = `${this.#title} · X-Ray dev`;
    this.filter = query.get("filter") ?? "";
    this.span = spanOf(query);
    this.filterBox.value = this.filter;
    this.spanSelect.value = this.span;
    this.filterBox.showError(null);
    try {
      await this.#load();
    } catch (error) {
      if (error instanceof api.FilterError) {
        this.#app.disconnect();
        this.filterBox.showError(error);
        return;
      }
    }
    this.#app.connect(api.eventsUrl({ filter: this.filter }), this);
  }

  #load() {
    return this.load({ filter: this.filter, start: startOf(this.span) });
  }

  go(filter, span) {
    this.#app.go(address(this.#path, { filter, last: span }));
  }

  // What the live connection calls.

  async sync() {
    try {
      await this.#load();
    } catch (error) {
      if (!(error instanceof api.FilterError)) throw error;
    }
  }

  onTrace() {
    this.refresh();
  }

  onGone() {
    this.refresh();
  }

  onReset() {
    this.refresh();
  }
}
