// @ts-check
// The service map as SVG: where nodes and edges go is dagre's work, how they look is decided here.

import { el } from "./dom.js";
import { count, duration, percent, plural, short } from "./format.js";
import { healthWord, shares } from "./health.js";
import { Graph, layout } from "./vendor/dagre.esm.js";

/** Pixels, before the map is scaled: of a map with room for words in its circles and on its lines, and of a large one. */
const ROOMY = { radius: 40, ring: 7, nodesep: 76, ranksep: 96, edgesep: 28, label: { width: 68, height: 26 } };
const DENSE = { radius: 18, ring: 9, nodesep: 26, ranksep: 84, edgesep: 10, label: { width: 0, height: 0 } };
/** Services from which on a map is a large one. */
const DENSE_FROM = 26;
const LABEL_CHARS = 22;
/** A name is never smaller on the screen; below this scale it is drawn larger. */
const NAME_PX = 12;
/** Words in circles and on lines are left out below these scales. */
const FIGURES_FROM = 0.5;
const EDGE_LABELS_FROM = 0.6;

/** @typedef {{ count: number, ok: number, error: number, throttle: number, fault: number, avg_s: number | null }} Counts */
/** @typedef {Counts & { id: string, name: string, type: string, p50_s: number | null, p95_s: number | null, p99_s: number | null, buckets: any[] }} GraphNode */
/** @typedef {Counts & { source: string, target: string }} GraphEdge */
/** @typedef {{ x: number, y: number }} Point */

/**
 * Positions for nodes and edges.
 * @param {{ nodes: GraphNode[], edges: GraphEdge[] }} graph
 * @returns {{ nodes: Map<string, Point>, edges: { points: Point[], label: Point }[], width: number, height: number, style: typeof ROOMY }}
 */
export function arrange(graph) {
  const style = graph.nodes.length >= DENSE_FROM ? DENSE : ROOMY;
  const { radius } = style;
  const drawing = new Graph({ multigraph: true });
  // The best ranks take time with the cube of a map's size; of a large one nobody sees the difference.
  const ranker = style === DENSE ? "tight-tree" : "network-simplex";
  drawing.setGraph({ rankdir: "LR", nodesep: style.nodesep, ranksep: style.ranksep, edgesep: style.edgesep, marginx: 70, marginy: 40, ranker });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawing.setNode(node.id, { width: radius * 2, height: radius * 2 });
  graph.edges.forEach((edge, index) => drawing.setEdge(edge.source, edge.target, { ...style.label, labelpos: "c" }, `e${index}`));
  layout(drawing);
  const nodes = new Map(graph.nodes.map((node) => [node.id, drawing.node(node.id)]));
  const edges = graph.edges.map((edge, index) => {
    const placed = drawing.edge(edge.source, edge.target, `e${index}`);
    const { points } = placed;
    const label = { x: placed.x ?? points[Math.floor(points.length / 2)].x, y: placed.y ?? points[Math.floor(points.length / 2)].y };
    const [source, target] = [drawing.node(edge.source), drawing.node(edge.target)];
    return { points: edge.source === edge.target ? points : trimEnds(points, source, target, radius), label };
  });
  const { width, height } = drawing.graph();
  return { nodes, edges, width: Math.max(width, 1), height: Math.max(height + 40, 1), style };
}

/** dagre ends edges at a box; here they end at the circle inside it. */
function trimEnds(points, source, target, radius) {
  const inner = points.slice(1, -1);
  const first = inner[0] ?? target;
  const last = inner.at(-1) ?? source;
  return [toward(source, first, radius + 3), ...inner, toward(target, last, radius + 9)];
}

function toward(from, to, distance) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return { x: from.x + ((to.x - from.x) / length) * distance, y: from.y + ((to.y - from.y) / length) * distance };
}

/** Pixels of the drawing in which a name is drawn at this scale. */
function nameSize(scale) {
  return Math.max(13, NAME_PX / scale);
}

/**
 * The nodes whose names there is room for at this scale: `first` before others, then the most troubled and busiest.
 * @param {GraphNode[]} nodes
 * @param {ReturnType<typeof arrange>} placed
 * @param {number} scale
 * @param {(node: GraphNode) => boolean} first
 */
export function named(nodes, placed, scale, first) {
  const size = nameSize(scale);
  const rank = (node) => (first(node) ? 2 : 0) + (node.fault > 0 ? 1 : 0);
  const sorted = [...nodes].sort((a, b) => rank(b) - rank(a) || b.count - a.count);
  /** @type {[number, number, number, number][]} */
  const taken = [];
  const chosen = new Set();
  for (const node of sorted) {
    const spot = placed.nodes.get(node.id);
    if (spot === undefined) continue;
    const half = Math.min(LABEL_CHARS, node.name.length) * size * 0.3 + size * 0.4;
    const top = spot.y + placed.style.radius;
    const box = /** @type {[number, number, number, number]} */ ([spot.x - half, top, spot.x + half, top + size * 1.5]);
    if (!first(node) && taken.some(([x0, y0, x1, y1]) => box[0] < x1 && x0 < box[2] && box[1] < y1 && y0 < box[3])) continue;
    taken.push(box);
    chosen.add(node.id);
  }
  return chosen;
}

/** A smooth line through the points. */
function pathThrough(points) {
  const at = (p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  if (points.length < 3) return `M${at(points[0])}L${at(points.at(-1))}`;
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const end = i === points.length - 2 ? points[i + 1] : { x: (points[i].x + points[i + 1].x) / 2, y: (points[i].y + points[i + 1].y) / 2 };
    path += `Q${at(points[i])} ${at(end)}`;
  }
  return path;
}

/** The worst health with a noticeable share, which colours an edge. */
function dominant(counts) {
  const all = counts.count || 1;
  return shares(counts).find((share) => share.health !== "ok" && share.n / all >= 0.02)?.health ?? "ok";
}

/**
 * `look`: busiest (the most calls of an edge), scale, style, far (it is not what was chosen), near (it belongs to it).
 * @param {GraphEdge} edge
 * @param {{ points: Point[], label: Point }} placed
 */
export function drawEdge(edge, placed, { busiest, scale, style, far, near }) {
  const health = dominant(edge);
  // A line is never thinner on the screen than one can see.
  const width = Math.max(0.8 / scale, (style === DENSE ? 0.7 : 1) * (1.2 + 3 * Math.sqrt(edge.count / Math.max(1, busiest))));
  const label = `${duration(edge.avg_s ?? NaN)}`;
  const worded = near || (scale >= EDGE_LABELS_FROM && style === ROOMY);
  const larger = Math.max(1, 0.85 / scale);
  return el(
    "g",
    { key: `${edge.source} ${edge.target}`, class: `map-edge edge-${health}${far ? " is-far" : ""}`, "data-source": edge.source, "data-target": edge.target },
    el("title", { text: `${plural(edge.count, "call")}, ${duration(edge.avg_s ?? NaN)} on average${health === "ok" ? "" : `, ${failing(edge)}`}` }),
    el("path", { class: "edge-line", d: pathThrough(placed.points), "stroke-width": width.toFixed(2), "marker-end": `url(#arrow-${health})` }),
    el("path", { class: "edge-hit", d: pathThrough(placed.points) }),
    worded && el("text", { "aria-hidden": "true", class: "edge-label", x: placed.label.x, y: placed.label.y - 3, "text-anchor": "middle", css: { "font-size": `${(12 * larger).toFixed(1)}px` } }, label),
    worded && el("text", { "aria-hidden": "true", class: "edge-count", x: placed.label.x, y: placed.label.y + 10 * larger, "text-anchor": "middle", css: { "font-size": `${(10.5 * larger).toFixed(1)}px` } }, plural(edge.count, "call")),
  );
}

/** "3 % fault, 1 % error". */
export function failing(counts) {
  const all = counts.count || 1;
  return shares(counts)
    .filter((share) => share.health !== "ok")
    .map((share) => `${percent(share.n / all)} ${healthWord(share.health).toLowerCase()}`)
    .join(", ");
}

/**
 * `look`: scale, style, named (its name is shown), selected, active (it has the tab stop), far.
 * @param {GraphNode} node
 * @param {Point} spot
 */
export function drawNode(node, { x, y }, { scale, style, named: isNamed, selected, active, far }) {
  const client = node.type === "client";
  const bad = failing(node);
  const { radius } = style;
  const label = [node.name, typeWord(node.type), plural(node.count, "request"), client ? null : `${duration(node.avg_s ?? NaN)} on average`, bad].filter(Boolean).join(", ");
  const figures = !client && style === ROOMY && scale >= FIGURES_FROM;
  const size = nameSize(scale);
  const typeSize = Math.max(11.5, (NAME_PX - 2) / scale);
  const typed = figures && node.type && typeWord(node.type) !== node.name;
  return el(
    "g",
    { key: node.id, class: `map-node${client ? " is-client" : ""}${far ? " is-far" : ""}`, role: "option", tabindex: active ? "0" : "-1", "aria-selected": String(selected), "data-id": node.id, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
    el("title", { text: label }),
    el("circle", { class: "node-halo", r: radius + Math.max(7, 5 / scale) }),
    el("circle", { class: "node-disc", r: radius }),
    client ? clientMark(radius / ROOMY.radius) : ring(node, style),
    figures && el("text", { "aria-hidden": "true", class: "node-latency", y: -1, "text-anchor": "middle" }, duration(node.avg_s ?? NaN)),
    figures && el("text", { "aria-hidden": "true", class: "node-count", y: 14, "text-anchor": "middle" }, `${short(node.count)} req`),
    isNamed && el("text", { "aria-hidden": "true", class: "node-name", y: radius + size * 1.15 + 4, "text-anchor": "middle", css: { "font-size": `${size.toFixed(1)}px`, "stroke-width": `${(size / 3.2).toFixed(1)}px` } }, cut(node.name)),
    isNamed && typed && el("text", { "aria-hidden": "true", class: "node-type", y: radius + size * 1.15 + 4 + typeSize * 1.25, "text-anchor": "middle", css: { "font-size": `${typeSize.toFixed(1)}px` } }, cut(typeWord(node.type))),
  );
}

/** The health ring: parts of a circle in the order worst to best, from the top. */
function ring(node, { radius, ring: thick }) {
  const parts = shares(node);
  const all = parts.reduce((sum, part) => sum + part.n, 0) || 1;
  let turned = 0;
  const arcs = parts.map((part) => {
    // A single fault among thousands is still to be seen.
    const share = Math.max(part.n / all, part.health === "ok" ? 0 : 0.03);
    const arc = el("circle", { class: `ring-part r-${part.health}`, r: radius - thick / 2, "stroke-width": thick, pathLength: 100, "stroke-dasharray": `${(share * 100).toFixed(2)} 100`, "stroke-dashoffset": (-turned * 100).toFixed(2), transform: "rotate(-90)" });
    turned += share;
    return arc;
  });
  // Best first in the document: where rounding makes parts overlap, the worse one is on top.
  return arcs.reverse();
}

function clientMark(scale) {
  return el("g", { transform: `scale(${scale})` }, el("circle", { class: "client-head", cy: -8, r: 9 }), el("path", { class: "client-body", d: "M-16 18a16 13 0 0132 0" }));
}

function cut(text) {
  const characters = Array.from(text);
  return characters.length > LABEL_CHARS ? `${characters.slice(0, LABEL_CHARS - 1).join("")}…` : text;
}

/** "AWS::DynamoDB::Table" as "DynamoDB Table". */
export function typeWord(type) {
  if (typeof type !== "string") return "";
  return type.replace(/^AWS::/, "").replaceAll("::", " ");
}

/** Arrow heads, one per health, because a marker does not take the colour of its line. */
export function arrowHeads() {
  return [
    ["ok", "error", "throttle", "fault"].map((health) =>
      el("marker", { id: `arrow-${health}`, class: `arrow arrow-${health}`, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, el("path", { d: "M0 0.5L7.5 4L0 7.5z" })),
    ),
  ];
}

/** A bar of shares by health, for tables. */
export function healthBar(counts) {
  return el(
    "span",
    { class: "health-bar", title: failing(counts) || `${count(counts.count)} ok` },
    shares(counts).map((share) => el("span", { class: `f-${share.health}`, css: { "flex-grow": share.n } })),
  );
}
