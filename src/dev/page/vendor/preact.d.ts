// What the page uses of preact.js, for the checks of types. Written here, unlike the file beside it.

export interface VNode<P = any> {
  type: any;
  props: P;
  key: any;
}
export const Fragment: any;
export function createElement(type: any, props?: any, ...children: any[]): VNode;
export function cloneElement(vnode: VNode, props?: any, ...children: any[]): VNode;
export function render(what: any, parent: Element): void;
export class Component<P = any, S = any> {
  constructor(props?: P);
  props: P;
  state: S;
  setState(state: Partial<S>, then?: () => void): void;
  render(props: P, state: S): any;
}
