// @ts-check
// The service map as SVG: where nodes and edges go is dagre's work, how they look is decided here.

import { el } from "./dom.js";
import { count, duration, percent, plural, short } from "./format.js";
import { healthWord, shares } from "./health.js";
import { Graph, layout } from "./vendor/dagre.esm.js";

export const RADIUS = 40;
const LABEL_CHARS = 22;
const RING = 7;

/** @typedef {{ count: number, ok: number, error: number, throttle: number, fault: number, avg_s: number | null }} Counts */
/** @typedef {Counts & { id: string, name: string, type: string, p50_s: number | null, p95_s: number | null, p99_s: number | null, buckets: any[] }} GraphNode */
/** @typedef {Counts & { source: string, target: string }} GraphEdge */
/** @typedef {{ x: number, y: number }} Point */

/**
 * Positions for nodes and edges.
 * @param {{ nodes: GraphNode[], edges: GraphEdge[] }} graph
 * @returns {{ nodes: Map<string, Point>, edges: { points: Point[], label: Point }[], width: number, height: number }}
 */
export function arrange(graph) {
  const drawing = new Graph({ multigraph: true });
  drawing.setGraph({ rankdir: "LR", nodesep: 76, ranksep: 96, edgesep: 28, marginx: 70, marginy: 40 });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawing.setNode(node.id, { width: RADIUS * 2, height: RADIUS * 2 });
  graph.edges.forEach((edge, index) => drawing.setEdge(edge.source, edge.target, { width: 68, height: 26, labelpos: "c" }, `e${index}`));
  layout(drawing);
  const nodes = new Map(graph.nodes.map((node) => [node.id, drawing.node(node.id)]));
  const edges = graph.edges.map((edge, index) => {
    const placed = drawing.edge(edge.source, edge.target, `e${index}`);
    const loop = edge.source === edge.target;
    return { points: loop ? placed.points : trimEnds(placed.points, nodes.get(edge.source), nodes.get(edge.target)), label: { x: placed.x, y: placed.y } };
  });
  const { width, height } = drawing.graph();
  return { nodes, edges, width: Math.max(width, 1), height: Math.max(height + 40, 1) };
}

/** dagre ends edges at a box; here they end at the circle inside it. */
function trimEnds(points, source, target) {
  const inner = points.slice(1, -1);
  const first = inner[0] ?? target;
  const last = inner.at(-1) ?? source;
  return [toward(source, first, RADIUS + 3), ...inner, toward(target, last, RADIUS + 9)];
}

function toward(from, to, distance) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return { x: from.x + ((to.x - from.x) / length) * distance, y: from.y + ((to.y - from.y) / length) * distance };
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

export function drawEdge(edge, placed, busiest) {
  const health = dominant(edge);
  const width = 1.2 + 3 * Math.sqrt(edge.count / Math.max(1, busiest));
  const label = `${duration(edge.avg_s ?? NaN)}`;
  return el(
    "g",
    { key: `${edge.source} ${edge.target}`, class: `map-edge edge-${health}`, "data-source": edge.source, "data-target": edge.target },
    el("title", { text: `${plural(edge.count, "call")}, ${duration(edge.avg_s ?? NaN)} on average${health === "ok" ? "" : `, ${failing(edge)}`}` }),
    el("path", { class: "edge-line", d: pathThrough(placed.points), "stroke-width": width.toFixed(2), "marker-end": `url(#arrow-${health})` }),
    el("path", { class: "edge-hit", d: pathThrough(placed.points) }),
    el("text", { class: "edge-label", x: placed.label.x, y: placed.label.y - 3, "text-anchor": "middle" }, label),
    el("text", { class: "edge-count", x: placed.label.x, y: placed.label.y + 10, "text-anchor": "middle" }, plural(edge.count, "call")),
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

export function drawNode(node, { x, y }) {
  const client = node.type === "client";
  const bad = failing(node);
  const label = [node.name, typeWord(node.type), plural(node.count, "request"), client ? null : `${duration(node.avg_s ?? NaN)} on average`, bad].filter(Boolean).join(", ");
  return el(
    "g",
    { key: node.id, class: `map-node${client ? " is-client" : ""}`, role: "option", tabindex: "-1", "aria-selected": "false", "aria-label": label, "data-id": node.id, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
    el("title", { text: label }),
    el("circle", { class: "node-halo", r: RADIUS + 7 }),
    el("circle", { class: "node-disc", r: RADIUS }),
    client ? clientMark() : ring(node),
    !client && el("text", { class: "node-latency", y: -1, "text-anchor": "middle" }, duration(node.avg_s ?? NaN)),
    !client && el("text", { class: "node-count", y: 14, "text-anchor": "middle" }, `${short(node.count)} req`),
    el("text", { class: "node-name", y: RADIUS + 20, "text-anchor": "middle" }, cut(node.name)),
    !client && node.type && typeWord(node.type) !== node.name && el("text", { class: "node-type", y: RADIUS + 35, "text-anchor": "middle" }, cut(typeWord(node.type))),
  );
}

/** The health ring: parts of a circle in the order worst to best, from the top. */
function ring(node) {
  const parts = shares(node);
  const all = parts.reduce((sum, part) => sum + part.n, 0) || 1;
  let turned = 0;
  const arcs = parts.map((part) => {
    // A single fault among thousands is still to be seen.
    const share = Math.max(part.n / all, part.health === "ok" ? 0 : 0.03);
    const arc = el("circle", { class: `ring-part r-${part.health}`, r: RADIUS - RING / 2, "stroke-width": RING, pathLength: 100, "stroke-dasharray": `${(share * 100).toFixed(2)} 100`, "stroke-dashoffset": (-turned * 100).toFixed(2), transform: "rotate(-90)" });
    turned += share;
    return arc;
  });
  // Best first in the document: where rounding makes parts overlap, the worse one is on top.
  return arcs.reverse();
}

function clientMark() {
  return [el("circle", { class: "client-head", cy: -8, r: 9 }), el("path", { class: "client-body", d: "M-16 18a16 13 0 0132 0" })];
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
