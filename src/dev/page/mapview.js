// @ts-check
// The service map of all traces: a filter, a span of time, the map.

import { MapPanel } from "./mappanel.js";
import { SelectionView } from "./selectionview.js";

export class MapView extends SelectionView {
  constructor(app) {
    super(app, "#/map", "Service map");
    this.panel = new MapPanel({ onFilter: (expression) => app.go(expression ? `#/traces?filter=${encodeURIComponent(expression)}` : "#/traces") });
    this.element = this.framed("map-view", this.panel.element);
  }

  serviceNames() {
    return this.panel.serviceNames();
  }

  load(selection) {
    return this.panel.load(selection);
  }

  /** Keys that work anywhere in this view. */
  key(event) {
    if (event.key === "/") this.filterBox.focus();
    else if (event.key === "f") this.panel.find();
    else if (event.key === "+" || event.key === "=") this.panel.panZoom.zoom(1.25);
    else if (event.key === "-") this.panel.panZoom.zoom(0.8);
    else if (event.key === "0") this.panel.panZoom.fit();
    else if (event.key === "Escape" && this.filter !== "") this.go("", this.span);
    else return false;
    return true;
  }
}
