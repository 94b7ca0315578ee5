// The only place where elements and attributes are made.
//
// Everything that segments carry is untrusted. It reaches the page as text nodes and inert attributes only: there is
// no way through here to parse markup, to set a handler from a string, or to link anywhere but inside this page.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const REFUSED = /^(on|style$|src$|srcdoc$|action$|formaction$|xlink:)/i;

/** An HTML element. `props`: attributes, plus `text`, `on` (handlers by event) and `css` (properties set by CSSOM). */
export function el(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props, ...children) {
  return build(document.createElementNS(SVG_NAMESPACE, tag), props, children);
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = String(value);
    else if (name === "on") for (const [type, handler] of Object.entries(value)) node.addEventListener(type, handler);
    else if (name === "css") css(node, value);
    else setAttribute(node, name, value);
  }
  node.append(...flatten(children));
  return node;
}

function setAttribute(node, name, value) {
  if (REFUSED.test(name)) throw new Error(`attribute ${name} is not set from data`);
  if (name === "href" && !String(value).startsWith("#")) throw new Error("links lead inside this page only");
  node.setAttribute(name, value === true ? "" : String(value));
}

function flatten(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

/** Sets style properties (also custom ones) through CSSOM, which the Content-Security-Policy allows. */
export function css(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, String(value));
}

/** Replaces all children. */
export function fill(node, ...children) {
  node.replaceChildren(...flatten(children));
  return node;
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
    const area = el("textarea", { class: "sr-only", "aria-hidden": "true" });
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
