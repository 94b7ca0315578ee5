// What the page uses of dagre.esm.js, for the checks of types. Written here, unlike the file beside it.

export interface Point {
  x: number;
  y: number;
}
export class Graph {
  constructor(options?: { multigraph?: boolean });
  setGraph(label: object): void;
  setDefaultEdgeLabel(label: () => object): void;
  setNode(id: string, label: object): void;
  setEdge(from: string, to: string, label: object, name?: string): void;
  node(id: string): Point;
  edge(from: string, to: string, name?: string): Point & { points: Point[] };
  graph(): { width: number; height: number };
}
export function layout(graph: Graph): void;
