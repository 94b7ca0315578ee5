// @ts-check
// Puts the page together: the address decides the view, one live connection serves whichever is shown.

import * as api from "./api.js";
import { CompareView } from "./compare.js";
import { el, fill, isTyping, throttle } from "./dom.js";
import { Header } from "./header.js";
import { ListView } from "./list.js";
import { Live } from "./live.js";
import { MapView } from "./mapview.js";
import { OperationsView } from "./operations.js";
import { showShortcuts } from "./shortcuts.js";
import { TraceView } from "./trace.js";
import { traceIdOf } from "./traceid.js";
import { watchDrops } from "./files.js";

const STATS_EVERY_MS = 5000;
const STATS_AT_MOST_EVERY_MS = 1000;
const NOTICE_MS = 6000;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const offer = /** @type {HTMLElement} */ (document.getElementById("offer"));
const banner = /** @type {HTMLElement} */ (document.getElementById("banner"));
const header = new Header();
const live = new Live((state) => showState(state));

/** @type {any} as /-/stats answers; null before the first answer */
let stats = null;
/** @type {any} the view on the screen */
let current = null;
let cameFrom = false; // another view of this page
/** @type {any} */
let noticeTimer = 0;

const app = {
  go(hash) {
    if (location.hash === hash) route();
    else location.hash = hash;
  },
  /** Changes the address without a step in the history and without entering the view anew. */
  replace(hash) {
    history.replaceState(null, "", hash);
  },
  back() {
    if (cameFrom) history.back();
    else this.go("#/traces");
  },
  connect: (url, view) => live.connect(url, view),
  disconnect: () => live.disconnect(),
  stats: () => stats,
  refreshStats: throttle(loadStats, STATS_AT_MOST_EVERY_MS),
  offer(text, label, act, for_ms) {
    endOffer();
    offered = { act, timer: setTimeout(endOffer, for_ms) };
    fill(offer, el("span", { text }), el("button", { type: "button", class: "button small", text: label, on: { click: () => this.takeOffer() } }));
    offer.hidden = false;
  },
  /** Does what is offered; false when nothing is. */
  takeOffer() {
    if (offer.hidden) return false;
    endOffer();
    offered.act();
    return true;
  },
  notice(text) {
    header.notice(banner, text);
    clearTimeout(noticeTimer);
    noticeTimer = setTimeout(() => showState(live.state), NOTICE_MS);
  },
};

/** What can be taken back: a text with a button, for a while. */
let offered = { act: () => {}, timer: /** @type {any} */ (0) };
function endOffer() {
  clearTimeout(offered.timer);
  offer.hidden = true;
}

const views = { list: new ListView(app), trace: new TraceView(app), map: new MapView(app), operations: new OperationsView(app), compare: new CompareView(app) };

/** "#/trace/<id>?segment=…" as its parts; anything unknown is the list. */
function parseAddress() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s, 2);
  const params = new URLSearchParams(query);
  const [head, ...rest] = path.split("/");
  if (head === "trace" && rest[0]) {
    const id = decode(rest.join("/"));
    return { name: "trace", id: traceIdOf(id) ?? id, params };
  }
  // An id alone behind the #.
  const alone = traceIdOf(decode(path));
  if (alone !== null) return { name: "trace", id: alone, params };
  if (head === "compare" && rest.length === 2) return { name: "compare", id: rest.map((part) => traceIdOf(decode(part)) ?? decode(part)), params };
  if (head === "map" || head === "operations") return { name: head, params };
  return { name: "list", params };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const address = parseAddress();
  const view = views[address.name];
  const before = current;
  if (view !== before) {
    before?.hide?.();
    const scrollTop = views.list.rows.viewport.scrollTop;
    main.replaceChildren(view.element);
    if (view === views.list) views.list.rows.viewport.scrollTop = views.list.scrollTop ?? 0;
    if (before === views.list) views.list.scrollTop = scrollTop;
    cameFrom = before !== null && (view === views.trace || view === views.compare);
  }
  current = view;
  header.showTab(address.name);
  const shown = "id" in address ? view.show(address.id, address.params) : view.show(address.params);
  if (view === views.list && before === views.trace) shown.then(() => views.list.restoreFocus());
}

function showState(state) {
  header.showState(state);
  const text = { offline: "xray dev does not answer. Trying again…", polling: "No live connection; looking for news every two seconds." }[state];
  banner.hidden = text === undefined;
  banner.textContent = text ?? "";
}

async function loadStats() {
  try {
    stats = await api.stats();
  } catch {
    return; // the live connection tells that the server is away
  }
  header.showStats(stats);
  if (current === views.list) views.list.onStats();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || isTyping(event)) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "?") showShortcuts();
  else if (event.key === "t") header.nextTheme();
  else if (event.key === "m") app.go("#/map");
  else if (event.key === "o") app.go("#/operations");
  else if (event.key === "l") app.go("#/traces");
  else if (!current.key(event)) return;
  event.preventDefault();
});

/** A pasted trace id opens the trace, unless it goes into a text that somebody writes. */
document.addEventListener("paste", (event) => {
  const id = traceIdOf(event.clipboardData?.getData("text") ?? "");
  const target = /** @type {any} */ (event.target);
  const isWritten = isTyping(event) && target.value !== "" && !(target.selectionStart === 0 && target.selectionEnd === target.value?.length);
  if (id === null || isWritten || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (isTyping(event)) target.blur();
  app.go(`#/trace/${id}`);
});
watchDrops(app);

/** @type {HTMLElement} */ (document.getElementById("skip")).addEventListener("click", () => main.focus());
addEventListener("hashchange", route);
setInterval(() => document.visibilityState === "visible" && loadStats(), STATS_EVERY_MS);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && loadStats());

loadStats();
route();
