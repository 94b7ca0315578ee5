// @ts-check
// A service map with its side panel: services by trouble, or the one that is chosen.

import * as api from "./api.js";
import { Fragment, el, embed, fill, make, makeSvg, perFrame } from "./dom.js";
import { quote } from "./filter.js";
import { count, duration, percent, plain, plural } from "./format.js";
import { healthWord, shares } from "./health.js";
import { Histogram, percentiles } from "./histogram.js";
import { icon } from "./icons.js";
import { arrange, arrowHeads, drawEdge, drawNode, failing, healthBar, named, typeWord } from "./mapdraw.js";
import { PanZoom } from "./panzoom.js";

/** @typedef {import("./mapdraw.js").GraphNode} GraphNode */
/** @typedef {import("./mapdraw.js").GraphEdge} GraphEdge */

/** A list of fewer services is read faster than something is typed. */
const FINDER_FROM = 8;
/** A service that was asked for by name is shown at least at this scale. */
const READABLE = 0.7;
const ORIGIN = { x: 0, y: 0 };

export class MapPanel {
  /** @type {{ nodes: GraphNode[], edges: GraphEdge[] }} */
  #graph = { nodes: [], edges: [] };
  /** @type {ReturnType<typeof arrange>} */
  #placed = arrange({ nodes: [], edges: [] });
  #shape = "";
  /** @type {string | null} */
  #selected = null;
  #last = ""; // what was chosen last; it keeps the tab stop
  #wanted = ""; // part of a service's name
  #onFilter;
  #asked = 0;

  /** `onFilter(expression)` lists the traces of a node, an edge or a bucket. */
  constructor({ onFilter }) {
    this.#onFilter = onFilter;
    this.edges = makeSvg("g", { class: "map-edges" });
    this.nodes = makeSvg("g", { class: "map-nodes" });
    this.layer = makeSvg("g", {}, this.edges, this.nodes);
    this.svg = makeSvg(
      "svg",
      { class: "map-svg", role: "listbox", "aria-label": "Services", on: { click: (event) => this.#click(event), keydown: (event) => this.#keydown(event) } },
      fill(makeSvg("defs", {}), arrowHeads()),
      this.layer,
    );
    this.panZoom = new PanZoom(this.svg, this.layer, perFrame(() => this.#draw()));
    const tool = (name, label, act) => el("button", { type: "button", class: "icon-button", title: label, "aria-label": label, on: { click: act } }, icon(name));
    this.tools = make("div", { class: "map-tools", role: "group", "aria-label": "Map" });
    fill(this.tools, tool("plus", "Zoom in", () => this.panZoom.zoom(1.25)), tool("minus", "Zoom out", () => this.panZoom.zoom(0.8)), tool("fit", "See all", () => this.panZoom.fit()));
    this.empty = make("p", { class: "map-empty", hidden: true, text: "No request in this selection." });
    this.legend = fill(make("div", { class: "map-legend", "aria-hidden": "true" }), ["ok", "error", "throttle", "fault"].map((health) => el("span", { class: "legend-item" }, el("span", { class: `dot-${health}` }), healthWord(health))));
    this.stage = make("div", { class: "map-stage" }, this.svg, this.tools, this.legend, this.empty);
    this.finder = make("input", { class: "find", type: "search", placeholder: "Find a service (f)", "aria-label": "Find a service", on: { input: () => this.#search(), keydown: (event) => this.#finderKey(event) } });
    this.histogram = new Histogram({ label: "", height: 56, onRange: (from_s, to_s) => this.#onFilter(serviceClause(this.#node(this.#selected), between(from_s, to_s))) });
    this.side = make("aside", { class: "map-side", "aria-label": "Services" });
    this.element = make("section", { class: "map-panel card", "aria-label": "Service map" }, this.stage, this.side);
  }

  /** Reads the graph; throws what the API throws. An answer that was overtaken is dropped. */
  async load(selection) {
    const asked = (this.#asked += 1);
    const answer = await api.graph(selection);
    if (asked === this.#asked) this.show(answer);
  }

  show(graph) {
    const nodes = Array.isArray(graph.nodes) ? graph.nodes : [];
    const ids = new Set(nodes.map((node) => node.id));
    const edges = (Array.isArray(graph.edges) ? graph.edges : []).filter((edge) => ids.has(edge.source) && ids.has(edge.target));
    this.#graph = { nodes, edges };
    const shape = JSON.stringify([nodes.map((node) => node.id), edges.map((edge) => [edge.source, edge.target])]);
    const keep = shape === this.#shape;
    if (!keep) this.#placed = arrange(this.#graph);
    this.#shape = shape;
    this.empty.hidden = nodes.length > 0;
    if (!ids.has(this.#selected)) this.#selected = null;
    this.panZoom.setSize(this.#placed, { keep });
    this.#draw();
    this.#showSide();
  }

  /** For the suggestions of a filter box. */
  serviceNames() {
    return this.#graph.nodes.filter((node) => node.type !== "client").map((node) => node.name);
  }

  #draw() {
    const { nodes, edges } = this.#graph;
    const { scale } = this.panZoom;
    const { style } = this.#placed;
    const chosen = this.#selected;
    const active = chosen ?? (this.#placed.nodes.has(this.#last) ? this.#last : nodes[0]?.id);
    const touches = (edge) => chosen !== null && (edge.source === chosen || edge.target === chosen);
    const near = new Set(edges.filter(touches).flatMap((edge) => [edge.source, edge.target]));
    const found = this.#found();
    const names = named(nodes, this.#placed, scale, (node) => near.has(node.id) || node.id === chosen || (found !== null && found.has(node.id)));
    const busiest = Math.max(1, ...edges.map((edge) => edge.count));
    const isFar = (id) => (chosen !== null && id !== chosen && !near.has(id)) || (chosen === null && found !== null && !found.has(id));
    const edgeLook = (edge) => ({ busiest, scale, style, near: touches(edge), far: chosen !== null ? !touches(edge) : found !== null });
    const nodeLook = ({ id }) => ({ scale, style, named: names.has(id), selected: id === chosen, active: id === active, far: isFar(id) });
    fill(this.edges, edges.map((edge, index) => drawEdge(edge, this.#placed.edges[index], edgeLook(edge))));
    fill(this.nodes, nodes.map((node) => drawNode(node, this.#placed.nodes.get(node.id) ?? ORIGIN, nodeLook(node))));
  }

  /** The ids of the services with the wanted name, or null when none is wanted. */
  #found() {
    const wanted = this.#wanted.trim().toLowerCase();
    return wanted === "" ? null : new Set(this.#graph.nodes.filter(({ name }) => name.toLowerCase().includes(wanted)).map(({ id }) => id));
  }

  /** Moves the keyboard to the field that finds a service. */
  find() {
    if (this.#selected !== null) this.#select(null);
    this.finder.focus();
    this.finder.select();
  }

  #search() {
    this.#wanted = this.finder.value;
    this.#draw();
    this.#showSide();
  }

  #finderKey(event) {
    const first = this.#allRows()[0];
    if (event.key === "Enter" && first) this.#select(first.id, { focus: true, closest: READABLE });
    else if (event.key === "Escape" && this.finder.value !== "") {
      this.finder.value = "";
      this.#search();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #select(id, { focus = false, closest = 0 } = {}) {
    this.#selected = id;
    this.#last = id ?? this.#last;
    this.#draw();
    this.#showSide();
    const spot = id !== null && this.#placed.nodes.get(id);
    if (spot && focus) this.panZoom.reveal(spot.x, spot.y, { closest });
    if (focus) this.#elementOf(id)?.focus({ preventScroll: true });
  }

  #elementOf(id) {
    return /** @type {SVGElement[]} */ ([...this.nodes.children]).find((element) => element.dataset.id === id);
  }

  #click(event) {
    const node = event.target.closest(".map-node");
    const edge = event.target.closest(".map-edge");
    if (node) this.#select(node.dataset.id === this.#selected ? null : node.dataset.id);
    else if (edge) this.#filterEdge(edge.dataset.source, edge.dataset.target);
    else this.#select(null);
  }

  #keydown(event) {
    const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const { id } = event.target.closest?.(".map-node")?.dataset ?? {};
    if (id === undefined) return;
    if (event.key in moves) {
      event.preventDefault();
      const next = this.#nearest(id, moves[event.key]);
      if (next !== null) this.#select(next, { focus: true });
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#select(id, { focus: true });
    } else if (event.key === "Escape" && this.#selected !== null) {
      event.preventDefault();
      event.stopPropagation();
      this.#select(null);
      event.target.focus();
    }
  }

  /** The nearest node in a direction, sideways distance counting double. */
  #nearest(id, [dx, dy]) {
    const from = this.#placed.nodes.get(id) ?? ORIGIN;
    /** @type {{ id: string, distance: number } | null} */
    let best = null;
    for (const [other, spot] of this.#placed.nodes) {
      const ahead = (spot.x - from.x) * dx + (spot.y - from.y) * dy;
      if (other === id || ahead <= 1) continue;
      const aside = Math.abs((spot.x - from.x) * dy) + Math.abs((spot.y - from.y) * dx);
      const distance = ahead + 2 * aside;
      if (best === null || distance < best.distance) best = { id: other, distance };
    }
    return best?.id ?? null;
  }

  #node(id) {
    return this.#graph.nodes.find((node) => node.id === id);
  }

  #filterEdge(source, target) {
    this.#onFilter(edgeClause(this.#node(source), this.#node(target)));
  }

  #showSide() {
    const node = this.#selected === null ? null : this.#node(this.#selected);
    fill(this.side, el(Fragment, { key: node?.id }, node ? this.#nodeSide(node) : this.#allSide()));
  }

  /** The services that are wanted, most trouble first. */
  #allRows() {
    const bad = (node) => (node.fault + node.throttle + node.error) / (node.count || 1);
    const found = this.#found();
    const wanted = this.#graph.nodes.filter((node) => node.type !== "client" && (found === null || found.has(node.id)));
    return wanted.sort((a, b) => b.fault / (b.count || 1) - a.fault / (a.count || 1) || bad(b) - bad(a) || (b.p95_s ?? 0) - (a.p95_s ?? 0));
  }

  #allSide() {
    const rows = this.#allRows();
    const all = this.serviceNames().length;
    return [
      el("h2", { text: rows.length === all ? plural(all, "service") : `${count(rows.length)} of ${plural(all, "service")}` }),
      all >= FINDER_FROM && embed(this.finder),
      el("p", { class: "muted small", text: "Most trouble first. Choose one, or a line of the map, to see more." }),
      el("div", { class: "service-list" }, rows.map((node) => this.#serviceRow(node))),
    ];
  }

  #serviceRow(node) {
    return el(
      "button",
      { key: node.id, type: "button", class: "service-row", on: { click: () => this.#select(node.id, { focus: true, closest: READABLE }) } },
      el("span", { class: "service-name" }, el("b", { text: node.name, title: node.name }), typeWord(node.type) !== node.name && el("span", { class: "muted small", text: typeWord(node.type) })),
      healthBar(node),
      el("span", { class: "service-numbers" }, el("span", { text: `p95 ${duration(node.p95_s ?? NaN)}` }), el("span", { class: "muted", text: `${count(node.count)} req` })),
    );
  }

  #nodeSide(node) {
    const client = node.type === "client";
    const own = serviceClause(node);
    this.histogram.label = `Response times of ${node.name}; choose a bar to list its traces`;
    this.histogram.show(node.buckets ?? [], null);
    const calls = this.#graph.edges.filter((edge) => edge.source === node.id || edge.target === node.id);
    return [
      el("button", { type: "button", class: "icon-button side-close", "aria-label": "Back to all services", title: "All services", on: { click: () => this.#select(null) } }, icon("close")),
      el("h2", { class: "side-name", text: node.name }),
      el("p", { class: "muted small", text: client ? "Where requests come from" : typeWord(node.type) }),
      el("p", { class: "side-health" }, healthBar(node), el("span", { text: failing(node) || `${count(node.count)} requests, all ok` })),
      !client && percentiles(node),
      !client && embed(this.histogram.element),
      el("div", { class: "side-actions" }, el("button", { type: "button", class: "button", on: { click: () => this.#onFilter(own) } }, icon("search", 14), "Its traces"), node.fault > 0 && el("button", { type: "button", class: "button", on: { click: () => this.#onFilter(serviceClause(node, "fault")) } }, el("span", { class: "dot-fault" }), "With a fault")),
      calls.length > 0 && el("h3", { text: "Calls" }),
      el("div", { class: "call-list" }, calls.map((edge) => this.#callRow(edge, node))),
    ];
  }

  #callRow(edge, node) {
    const outgoing = edge.source === node.id;
    const other = this.#node(outgoing ? edge.target : edge.source);
    const bad = shares(edge).filter((share) => share.health !== "ok");
    return el(
      "button",
      { type: "button", class: "call-row", title: "List the traces with this call", on: { click: () => this.#filterEdge(edge.source, edge.target) } },
      el("span", { class: "call-direction", text: outgoing ? "→" : "←", "aria-label": outgoing ? "to" : "from" }),
      el("span", { class: "call-name", text: other?.name }),
      el("span", { class: "muted", text: `${count(edge.count)} × ${duration(edge.avg_s ?? NaN)}` }),
      bad.map((share) => el("span", { class: `tag tag-${share.health}`, text: percent(share.n / (edge.count || 1)) })),
    );
  }
}

function serviceClause(node, inner = "") {
  if (node.type === "client") return inner;
  const target = `service(${quote(node.name)})`;
  return inner === "" ? target : `${target} { ${inner} }`;
}

/** A call from outside has no service at its start; then the called service says enough. */
function edgeClause(source, target) {
  if (source.type === "client") return serviceClause(target);
  return `edge(${quote(source.name)}, ${quote(target.name)})`;
}

function between(from_s, to_s) {
  const parts = [];
  if (from_s !== null && from_s > 0) parts.push(`responsetime >= ${plain(from_s)}`);
  if (to_s !== null) parts.push(`responsetime < ${plain(to_s)}`);
  return parts.join(" AND ");
}
