// @ts-check
// The only place where elements and attributes are made.
//
// What data decides is described with `el` and put into its place with `fill`, which changes what differs from the last
// time: an element that is still there keeps its focus, its scroll position and what was opened in it. The fixed parts of
// a view, which hold what is drawn, are made once with `make`.
//
// Everything that segments carry is untrusted. It reaches the page as text nodes and inert attributes only: there is
// no way through here to parse markup, to set a handler from a string, or to link anywhere but inside this page.

import { Fragment, createElement, render } from "./vendor/preact.js";

export { Component, Fragment, cloneElement } from "./vendor/preact.js";

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const REFUSED = /^(on|style$|src$|srcdoc$|action$|formaction$|xlink:|dangerously|innerhtml$|outerhtml$)/i;

/**
 * Attributes, and `text`, `on` (handlers by event), `css` (properties set by CSSOM), `key` (which sibling it is) and
 * `ref` (is told the element). Components take whatever they like.
 * @typedef {Record<string, any>} Props
 */

/** @typedef {import("./vendor/preact.js").VNode<any>} Description */
/** @typedef {any} Child What can stand in an element: text, a number, a description, nothing, or a list of these. */

/**
 * What an element, of HTML or inside a drawing of SVG, is to be; or a component.
 * @param {any} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {Description}
 */
export function el(tag, props, ...children) {
  if (typeof tag !== "string") return createElement(tag, props, ...children);
  /** @type {Props} */
  const given = {};
  /** @type {string | null} */
  let text = null;
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") text = String(value);
    else if (name === "on") for (const [type, handler] of Object.entries(value)) given[`on${type}`] = handler;
    else if (name === "css") given.style = Object.fromEntries(Object.entries(value).map(([property, set]) => [property, String(set)]));
    else if (name === "key" || name === "ref") given[name] = value;
    else given[name] = checked(name, value);
  }
  return text === null ? createElement(tag, given, ...children) : createElement(tag, given, text, ...children);
}

/** Shows descriptions in an element in place of those of the last time. */
export function fill(node, ...children) {
  render(createElement(Fragment, null, ...children), node);
  return node;
}

/**
 * A real element, for the fixed parts of a view; `text` and children that are texts or elements stay as they are.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function makeSvg(tag, props, ...children) {
  return build(/** @type {any} */ (document.createElementNS(SVG_NAMESPACE, tag)), props, children);
}

/** A real element, which keeps itself up to date, among descriptions. */
export function embed(element) {
  return el("div", { class: "embedded", ref: (host) => host !== null && host.firstChild !== element && host.replaceChildren(element) });
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = String(value);
    else if (name === "on") for (const [type, handler] of Object.entries(value)) node.addEventListener(type, handler);
    else if (name === "css") css(node, value);
    else node.setAttribute(name, value === true ? "" : checked(name, value));
  }
  node.append(...flatten(children));
  return node;
}

function checked(name, value) {
  if (REFUSED.test(name)) throw new Error(`attribute ${name} is not set from data`);
  if (name === "href" && !String(value).startsWith("#")) throw new Error("links lead inside this page only");
  return typeof value === "boolean" ? value : String(value);
}

function flatten(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

/** Sets style properties (also custom ones) through CSSOM, which the Content-Security-Policy allows. */
export function css(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, String(value));
}

/** Says something to people who listen instead of look. */
export function announce(text) {
  const live = document.getElementById("announce");
  if (live) live.textContent = text;
}

/** Runs `work` at most once per frame however often it is asked for. */
export function perFrame(work) {
  let asked = 0;
  return () => {
    if (asked) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      work();
    });
  };
}

/** Runs `work` now, then at most every `interval_ms`, and always once after the last call. */
export function throttle(work, interval_ms) {
  let timer = 0;
  let again = false;
  const tick = () => {
    timer = 0;
    if (!again) return;
    again = false;
    timer = setTimeout(tick, interval_ms);
    work();
  };
  return () => {
    if (timer) {
      again = true;
      return;
    }
    timer = setTimeout(tick, interval_ms);
    work();
  };
}

/** Copies text; where the clipboard API is closed (plain HTTP on another machine) through a selection. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { class: "sr-only", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** True while typing into a field, where single-key shortcuts must stay letters. */
export function isTyping(event) {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
