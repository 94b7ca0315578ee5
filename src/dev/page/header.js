// @ts-check
// The top of the page: state of the connection, the store, what was refused and what SDKs left out, theme, help.

import { announce, el, fill, make } from "./dom.js";
import { bytes, count, moment, percent, plural } from "./format.js";
import { icon } from "./icons.js";
import { showDialog, showShortcuts } from "./shortcuts.js";

const STATES = {
  connecting: ["Connecting", "Opening the live connection"],
  live: ["Live", "Traces show up as they arrive"],
  polling: ["Polling", "No live connection; asking every two seconds"],
  offline: ["Offline", "xray dev does not answer"],
  off: ["", ""],
};
const THEMES = ["auto", "light", "dark"];
const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };
const REFUSED_SHOWN = 20;

export class Header {
  constructor() {
    this.state = make("span", { class: "live-state", id: "live-state", role: "status" });
    this.store = make("span", { class: "store-state", id: "store-state" });
    this.refused = make("button", { type: "button", class: "button small refused", id: "refused", hidden: true, on: { click: () => this.#showRefused() } });
    this.sampled = make("span", { class: "store-state", id: "sampled", hidden: true });
    this.theme = make("button", { type: "button", class: "icon-button", id: "theme", on: { click: () => this.nextTheme() } });
    const help = make("button", { type: "button", class: "icon-button", id: "help", title: "Keys and filters (?)", "aria-label": "Keys and filters", on: { click: showShortcuts } });
    fill(help, icon("help"));
    /** @type {HTMLElement} */ (document.getElementById("top-right")).append(this.refused, this.sampled, this.store, this.state, this.theme, help);
    this.#showTheme();
  }

  showTab(name) {
    for (const [tab, view] of [["tab-traces", "list"], ["tab-map", "map"], ["tab-operations", "operations"]]) {
      const link = /** @type {HTMLElement} */ (document.getElementById(tab));
      if (name === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  showState(state) {
    const [word, title] = STATES[state] ?? STATES.off;
    this.state.className = `live-state is-${state}`;
    this.state.title = title;
    fill(this.state, word && el("span", { class: "live-dot", "aria-hidden": "true" }), word);
  }

  showStats(stats) {
    const store = stats.store ?? {};
    fill(this.store, el("span", { text: plural(store.traces ?? 0, "trace") }), el("span", { class: "store-bytes", text: bytes(store.bytes ?? 0) }));
    this.store.title = storeTitle(stats);
    this.stats = stats;
    const refused = stats.refused?.count ?? 0;
    this.refused.hidden = refused === 0;
    fill(this.refused, icon("warning", 14), `${count(refused)} refused`);
    this.refused.title = "Documents that are not shown, and why";
    this.#showSampled(stats.sampling ?? []);
  }

  /** Requests that are no traces, since a sampling rule left them out. */
  #showSampled(rules) {
    const sum = (field) => rules.reduce((all, rule) => all + (rule[field] ?? 0), 0);
    const [requests, sampled] = [sum("requests"), sum("sampled")];
    this.sampled.hidden = sampled >= requests;
    this.sampled.textContent = `${count(sampled)} of ${count(requests)} sampled`;
    this.sampled.title = rules.map((rule) => `SDKs saw ${plural(rule.requests, "request")} and sent ${count(rule.sampled)}: rule ${rule.rule}`).join("\n");
  }

  notice(banner, text) {
    banner.textContent = text;
    banner.hidden = false;
    announce(text);
  }

  nextTheme() {
    const theme = THEMES[(THEMES.indexOf(globalThis.xrayTheme.read()) + 1) % THEMES.length];
    globalThis.xrayTheme.set(theme);
    this.#showTheme();
    announce(`Theme: ${theme}`);
  }

  #showTheme() {
    const theme = globalThis.xrayTheme.read();
    const label = `Theme: ${theme} (t)`;
    fill(this.theme, icon(THEME_ICONS[theme] ?? "auto"));
    this.theme.title = label;
    this.theme.setAttribute("aria-label", label);
  }

  #showRefused() {
    const latest = (this.stats?.refused?.latest ?? []).slice(0, REFUSED_SHOWN);
    showDialog(
      "Refused documents",
      el("p", { class: "muted", text: "These arrived, but X-Ray would not take them either. The latest first:" }),
      el(
        "ul",
        { class: "refused-list" },
        latest.map((one) =>
          el(
            "li",
            {},
            el("p", {}, el("b", { text: one.code ?? "Refused" }), " ", el("span", { class: "muted small", text: moment(one.time) })),
            el("p", { text: one.message ?? "" }),
            (one.name || one.id) && el("p", { class: "muted small" }, [one.name, one.id].filter(Boolean).map((text) => [el("code", { text }), " "])),
          ),
        ),
      ),
    );
  }
}

/** @param {any} stats as /-/stats answers */
function storeTitle({ store = {}, receiving = {}, version }) {
  const lines = [
    `${plural(store.traces ?? 0, "trace")} of at most ${count(store.max_traces)}, ${plural(store.documents ?? 0, "document")}`,
    `${bytes(store.bytes)} of at most ${bytes(store.max_bytes)} (${percent(store.bytes / store.max_bytes)})`,
    store.evicted_traces > 0 ? `${plural(store.evicted_traces, "older trace")} pushed out by newer ones` : null,
    store.file ? `Kept in ${store.file}` : "In memory only",
    receiving.udp ? `Receiving on UDP ${receiving.udp}, TCP ${receiving.tcp}` : null,
    version ? `xray ${version}` : null,
  ];
  return lines.filter(Boolean).join("\n");
}
