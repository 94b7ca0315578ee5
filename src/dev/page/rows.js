// @ts-check
// One row of the list: what was asked, what came of it, how long it took.

import { el } from "./dom.js";
import { clock, count, day, duration, moment, plural } from "./format.js";
import { healthOf, healthWord, progressWord, statusHealth } from "./health.js";

/** Pixels; two lines of text. */
export const ROW_HEIGHT = 56;
const MAX_CHIPS = 4;
const MAX_SERVICES = 5;

/** `context`: slow_s (a response at least this long is marked, null for none), scale_s (a full bar), fresh (new ids), now (seconds
 * since 1970), columns (annotations that have one). */
export function traceRow(row, context) {
  const health = healthOf(row);
  const slow = context.slow_s !== null && row.response_time_s !== null && row.response_time_s >= context.slow_s;
  const { path, host } = requestOf(row);
  const classes = ["trace-row", `h-${health}`];
  if (slow) classes.push("is-slow");
  if (context.fresh.has(row.id)) classes.push("is-new");
  return el(
    "a",
    {
      class: classes.join(" "),
      role: "option",
      href: `#/trace/${encodeURIComponent(row.id)}`,
      "data-id": row.id,
      "aria-selected": "false",
    },
    // The whole row said in one breath; a label of the row would have to repeat what it shows, word by word.
    el("span", { class: "sr-only", text: spoken(row, health, slow, path) }),
    el("span", { class: "cell-time", "aria-hidden": "true", title: moment(row.start) }, clock(row.start), isOfToday(row, context.now) ? null : el("span", { class: "cell-date", text: day(row.start) })),
    el(
      "span",
      { class: "cell-what", "aria-hidden": "true" },
      el(
        "span",
        { class: "line-1" },
        row.method && el("span", { class: "method", text: row.method }),
        el("span", { class: "path", title: row.url ?? row.name, text: path }),
        host && el("span", { class: "host", text: host }),
      ),
      el("span", { class: "line-2" }, row.note && el("span", { class: "tag tag-plain", text: row.note }), serviceTrail(row.services), chips(row, context.columns)),
    ),
    context.columns.map((key) => el("span", { key, class: "cell-column", "aria-hidden": "true", title: textOfAnnotation(row, key), text: textOfAnnotation(row, key) })),
    el("span", { class: "cell-mark", "aria-hidden": "true" }, health !== "ok" && el("span", { class: `tag tag-${health}`, text: health === "progress" ? progressWord(soFar(row, context.now)) : healthWord(health) }), slow && el("span", { class: "tag tag-slow", text: "Slow" })),
    el("span", { class: `cell-status s-${statusHealth(row.status) ?? "none"}`, "aria-hidden": "true", text: row.status ?? "–" }),
    timeCell(row, health, context),
    el("span", { class: "cell-segments", "aria-hidden": "true", title: parts(row) }, count(row.segments), row.subsegments > 0 && el("span", { class: "cell-sub", text: `+${count(row.subsegments)}` })),
  );
}

/** "2 segments, 5 subsegments": the work of services, and parts of it. */
function parts(row) {
  return [plural(row.segments, "segment"), row.subsegments > 0 && plural(row.subsegments, "subsegment")].filter(Boolean).join(", ");
}

function isOfToday(row, now) {
  return day(row.start) === day(now);
}

/** Seconds since the start of a trace that has not ended. */
function soFar(row, now) {
  return Math.max(0, now - row.start);
}

function timeCell(row, health, { scale_s, now }) {
  const seconds = row.response_time_s ?? (row.in_progress ? soFar(row, now) : row.duration_s);
  const share = scale_s > 0 && seconds !== null ? Math.min(1, seconds / scale_s) : 0;
  const open = row.in_progress && row.response_time_s === null;
  const later = row.response_time_s !== null && row.duration_s !== null && row.duration_s > row.response_time_s * 1.05 + 0.001;
  const title = later ? `Response after ${duration(row.response_time_s)}; work went on until ${duration(row.duration_s)}` : null;
  return el(
    "span",
    { class: "cell-duration", "aria-hidden": "true", title },
    el("span", { class: "number" }, seconds === null ? "…" : duration(seconds), open && el("span", { class: "so-far", text: " so far" }), later && el("sup", { text: "+" })),
    el("span", { class: "gauge" }, el("span", { class: `gauge-fill f-${health}`, css: { width: `${(share * 100).toFixed(1)}%` } })),
  );
}

/** The request as path and host when there is a URL, else the name of the first segment. */
export function requestOf(row) {
  if (row.url === null) return { path: row.name, host: null };
  try {
    const url = new URL(row.url);
    return { path: decodePath(url.pathname) + url.search, host: url.host };
  } catch {
    return { path: row.url, host: null };
  }
}

function decodePath(path) {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

function serviceTrail(services) {
  const shown = services.slice(0, MAX_SERVICES);
  const trail = shown.flatMap((name, at) => [
    at > 0 && el("span", { class: "dot", "aria-hidden": "true", text: "›" }),
    el("span", { class: "service", text: name }),
  ]);
  const rest = services.length - shown.length;
  return [...trail, rest > 0 && el("span", { class: "service more", text: `+${rest}` })];
}

function textOfAnnotation(row, key) {
  return Object.hasOwn(row.annotations, key) ? String(row.annotations[key]) : "";
}

function chips(row, columns) {
  const pairs = Object.entries(row.annotations).filter(([key]) => !columns.includes(key));
  const shown = pairs.slice(0, MAX_CHIPS).map(([key, value]) =>
    el("span", { class: "chip" }, el("span", { class: "chip-key", text: key }), el("span", { class: "chip-value", text: String(value) })),
  );
  const user = row.user && el("span", { class: "chip chip-user" }, el("span", { class: "chip-key", text: "user" }), el("span", { class: "chip-value", text: row.user }));
  const rest = pairs.length - shown.length;
  return [user, ...shown, rest > 0 && el("span", { class: "chip more", text: `+${rest}` })];
}

function spoken(row, health, slow, path) {
  const said = [`${row.method ?? ""} ${path}`.trim()];
  if (row.status !== null) said.push(`status ${row.status}`);
  if (health !== "ok") said.push(healthWord(health).toLowerCase());
  if (slow) said.push("slow");
  const seconds = row.response_time_s ?? row.duration_s;
  if (seconds !== null && !row.in_progress) said.push(duration(seconds));
  said.push(parts(row), `at ${clock(row.start)}`);
  return said.join(", ");
}
