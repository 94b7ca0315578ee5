// @ts-check
// The service map of all traces: a filter, a span of time, the map.

import * as api from "./api.js";
import { make, throttle } from "./dom.js";
import { FilterBox } from "./filterbox.js";
import { address, spanOf, spanSelect, startOf } from "./spans.js";
import { MapPanel } from "./mappanel.js";

/** The graph is counted over the whole store, so new traces may not ask for it one by one. */
const REFRESH_MS = 2000;

export class MapView {
  #app;
  #filter = "";
  #span = "";

  /** `app`: go(hash), connect(url, view), disconnect(). */
  constructor(app) {
    this.#app = app;
    this.panel = new MapPanel({ onFilter: (expression) => app.go(expression ? `#/traces?filter=${encodeURIComponent(expression)}` : "#/traces") });
    this.filterBox = new FilterBox({
      known: () => ({ services: this.panel.serviceNames(), annotations: new Map(), slow: "1" }),
      onApply: (expression) => this.#go(expression, this.#span),
      onLeave: () => this.filterBox.input.blur(),
    });
    this.span = spanSelect((span) => this.#go(this.#filter, span));
    this.element = make("div", { class: "view map-view" }, make("h1", { class: "sr-only", text: "Service map" }), make("div", { class: "toolbar" }, this.filterBox.element, this.span), this.panel.element);
    this.refresh = throttle(() => this.sync().catch(() => {}), REFRESH_MS);
  }

  async show(query) {
    document.title = "Service map · X-Ray dev";
    this.#filter = query.get("filter") ?? "";
    this.#span = spanOf(query);
    this.filterBox.value = this.#filter;
    this.span.value = this.#span;
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
    this.#app.connect(api.eventsUrl({ filter: this.#filter }), this);
  }

  #load() {
    return this.panel.load({ filter: this.#filter, start: startOf(this.#span) });
  }

  #go(filter, span) {
    this.#app.go(address("#/map", { filter, last: span }));
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

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key === "/") this.filterBox.focus();
    else if (event.key === "f") this.panel.find();
    else if (event.key === "+" || event.key === "=") this.panel.panZoom.zoom(1.25);
    else if (event.key === "-") this.panel.panZoom.zoom(0.8);
    else if (event.key === "0") this.panel.panZoom.fit();
    else if (event.key === "Escape" && this.#filter !== "") this.#go("", this.#span);
    else return false;
    return true;
  }
}
