// @ts-check
// Everything one segment says, in the order in which it answers "why".

import { causeId, findException, selfTime } from "./analysis.js";
import { Component, Fragment, el, fill, make } from "./dom.js";
import { skewSentence, tookText } from "./bars.js";
import { copyButton } from "./empty.js";
import { exceptionBlock } from "./exceptions.js";
import { annotationClause } from "./filter.js";
import { bytes, duration, moment, percent } from "./format.js";
import { healthOf, healthWord, statusHealth } from "./health.js";
import { icon } from "./icons.js";
import { jsonTree, longText, rawDocument, scalar } from "./json.js";
import { isObject, kindOf, numberOf, statusOf, subtitle, textOf } from "./model.js";
import { noteOf } from "./unit.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./model.js").TraceNode} TraceNode */

const KIND_WORDS = { database: "Database call", cloud: "AWS call", globe: "Remote call", server: "Segment", code: "Subsegment" };
/** Shown in sections of their own; what is left of a document is listed under "Other fields". */
const KNOWN = new Set(
  "id name trace_id parent_id start_time end_time in_progress type service user origin namespace http aws error throttle fault cause annotations metadata subsegments sql links resource_arn precursor_ids".split(" "),
);

export class Details {
  /** @type {{ filter(expression: string): void, select(key: string): void, close(): void }} */
  #actions;
  #shown = ""; // which segment of which trace
  #flipped = new Set(); // titles of sections the reader folded or unfolded; it stays so for the next segment

  /** `actions`: filter(expression), select(key), close(). */
  constructor(actions) {
    this.#actions = actions;
    this.body = make("div", { class: "details-body" });
    this.element = make("aside", { class: "details card", "aria-label": "Segment details", tabindex: "-1" }, this.body);
  }

  /**
   * `node` in its newest state: what was opened and scrolled stays so while it is the same one.
   * @param {TraceNode} node
   * @param {Trace} trace
   */
  show(node, trace) {
    const { data } = node;
    const other = this.#shown !== `${trace.id} ${node.key}`;
    this.#shown = `${trace.id} ${node.key}`;
    const http = isObject(data.http) ? data.http : {};
    fill(
      this.body,
      el(
        Fragment,
        { key: this.#shown },
      this.#heading(node),
      this.#failure(node, trace),
      this.#section("Timing", timing(node, trace)),
      this.#section("Request", isObject(http.request) && fields(http.request)),
      this.#section("Response", isObject(http.response) && fields(http.response, responseField)),
      this.#section("SQL", isObject(data.sql) && sql(data.sql)),
      this.#section("Annotations", isObject(data.annotations) && this.#annotations(data.annotations)),
      this.#section("Metadata", isObject(data.metadata) && Object.keys(data.metadata).length > 0 && jsonTree(data.metadata, { open: 2 })),
      this.#section("AWS", isObject(data.aws) && Object.keys(data.aws).length > 0 && jsonTree(data.aws, { open: 1 })),
      this.#section("Service", service(data)),
      this.#section("Events", events(data, trace)),
      this.#section("Links", Array.isArray(data.links) && data.links.length > 0 && links(data.links)),
      this.#section("Other fields", others(data)),
      this.#section("Raw JSON", this.#raw(node, trace), { folded: true }),
      ),
    );
    if (other) this.body.scrollTop = 0;
  }

  #heading(node) {
    const health = healthOf(node);
    const status = statusOf(node);
    return el(
      "header",
      { class: "details-head" },
      el("div", { class: "details-kind" }, icon(kindOf(node), 14), el("span", { text: KIND_WORDS[kindOf(node)] }), node.otlp && el("span", { class: "tag tag-plain", text: "OTLP span" })),
      el("h2", {}, longText(node.name, "details-name")),
      subtitle(node) && el("p", { class: "details-sub" }, longText(subtitle(node), "")),
      el("p", { class: "details-tags" }, el("span", { class: `tag tag-${health}`, text: healthWord(health) }), status !== null && el("span", { class: `tag tag-${statusHealth(status)}`, text: `Status ${status}` }), node.kind === "subsegment" && el("span", { class: "muted", text: `in ${node.service}` })),
      el("button", { type: "button", class: "icon-button details-close", "aria-label": "Close the details", title: "Close", on: { click: () => this.#actions.close() } }, icon("close")),
    );
  }

  /** A section that folds; `content` is shown when it is open, and may be a function that makes it then. */
  #section(title, content, { folded = false } = {}) {
    if (!content) return null;
    const open = this.#flipped.has(title) === folded;
    const flip = (event) => {
      if (event.currentTarget.open === folded) this.#flipped.add(title);
      else this.#flipped.delete(title);
    };
    return el(Section, { key: title, title, content, open, flip });
  }

  #failure(node, trace) {
    const id = causeId(node);
    const elsewhere = id === null ? null : findException(id, trace);
    if (node.exceptions.length === 0 && id === null) return null;
    const title = node.exceptions.length > 1 ? `Exceptions (${node.exceptions.length})` : "Exception";
    const blocks = node.exceptions.map((exception) => exceptionBlock(exception, node));
    if (elsewhere) {
      blocks.push(
        el("p", { class: "muted" }, "Recorded in ", el("button", { type: "button", class: "link-button", text: elsewhere.node.name, on: { click: () => this.#actions.select(elsewhere.node.key) } }), ":"),
        exceptionBlock(elsewhere.exception, elsewhere.node),
      );
    } else if (id !== null) blocks.push(el("p", { class: "muted" }, "Points to exception ", el("code", { text: id }), ", which has not arrived."));
    const { cause } = node.data;
    if (isObject(cause) && textOf(cause.working_directory)) blocks.push(el("p", { class: "muted small" }, "Working directory ", el("code", { text: cause.working_directory })));
    return this.#section(title, el("div", { class: "exceptions" }, blocks));
  }

  #annotations(annotations) {
    const pairs = Object.entries(annotations);
    if (pairs.length === 0) return null;
    return el(
      "dl",
      { class: "fields" },
      pairs.map(([key, value]) => [
        el("dt", { text: key }),
        el(
          "dd",
          {},
          scalar(isObject(value) || Array.isArray(value) ? JSON.stringify(value) : value),
          ["string", "number", "boolean"].includes(typeof value) &&
            el("button", { type: "button", class: "link-button filter-by", title: "List the traces with this annotation", "aria-label": `List traces with ${key}`, on: { click: () => this.#actions.filter(annotationClause(key, value)) } }, icon("search", 12)),
        ),
      ]),
    );
  }

  #raw(node, trace) {
    const text = trace.documents[node.document]?.document ?? "";
    return () =>
      el(
        "div",
        { class: "raw-section" },
        el("div", { class: "raw-tools" }, el("span", { class: "muted small", text: `${node.kind === "subsegment" ? "The document it came in, " : ""}${bytes(new Blob([text]).size)}` }), copyButton(() => text, "Copy JSON")),
        rawDocument(text),
      );
  }
}

class Section extends Component {
  state = { open: this.props.open };

  render({ title, content, flip }, { open }) {
    const toggle = (event) => {
      flip(event);
      this.setState({ open: event.currentTarget.open });
    };
    return el("details", { class: "section", "data-section": title, open, on: { toggle } }, el("summary", { text: title }), open && (typeof content === "function" ? content() : content));
  }
}

function timing(node, trace) {
  const share = trace.duration > 0 ? node.duration / trace.duration : 1;
  const rows = [
    ["Duration", node.in_progress ? tookText(node) : `${duration(node.duration)} (${percent(share)} of the trace)`],
    node.skew !== 0 && ["Clock", `${skewSentence(node)} ${trace.adjusted ? "Times are adjusted." : "Times are as they were sent."}`],
    node.skew === 0 && node.shift !== 0 && ["Clock", `Of ${node.service}, which differs. ${trace.adjusted ? "Times are adjusted." : "Times are as they were sent."}`],
    node.children.length > 0 && ["Own time", `${duration(selfTime(node))}, not in what it called`],
    ["Starts at", `${duration(node.start - trace.start)} into the trace`],
    ["Started", moment(node.start)],
    !node.in_progress && ["Ended", moment(node.end)],
    node.unit && ["Sent as", el("span", {}, el("code", { text: String(node.data.start_time) }), `: ${noteOf(node.unit)}`)],
    textOf(node.id) && ["Segment id", el("code", { text: node.id })],
    node.orphan && ["Parent", el("span", {}, el("code", { text: node.parentKey }), " (has not arrived)")],
  ];
  return list(rows.filter(Boolean));
}

function list(rows) {
  return el(
    "dl",
    { class: "fields" },
    rows.map(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)]),
  );
}

/** The fields of an object as they are; nested ones as a tree. */
/** @param {(key: string, value: any) => any} [special] what to show in place of the value, or null */
function fields(object, special = () => null) {
  const rows = Object.entries(object).map(([key, value]) => [words(key), special(key, value) ?? (isObject(value) || Array.isArray(value) ? jsonTree(value) : scalar(value))]);
  return rows.length > 0 && list(rows);
}

function responseField(key, value) {
  const number = numberOf(value);
  if (key === "status" && number !== null) return el("span", { class: `tag tag-${statusHealth(number)}`, text: number });
  if (key === "content_length" && number !== null && number >= 0) return bytes(number);
  return null;
}

function words(key) {
  const text = key.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sql(object) {
  const { sanitized_query: query, ...rest } = object;
  return el("div", {}, textOf(query) && el("div", { class: "code-block" }, el("pre", {}, el("code", { text: query })), copyButton(() => query)), fields(rest));
}

function service(data) {
  const rows = [
    textOf(data.origin) && ["Origin", data.origin],
    textOf(data.namespace) && ["Namespace", data.namespace],
    textOf(data.user) && ["User", data.user],
    textOf(data.resource_arn) && ["Resource", el("code", { text: data.resource_arn })],
    isObject(data.service) && Object.keys(data.service).length > 0 && ["Runtime", jsonTree(data.service)],
  ].filter(Boolean);
  return rows.length > 0 && list(rows);
}

/** Events of a span, at their time in the trace. X-Ray has no field for them: they are in the metadata. */
function events(data, trace) {
  const otlp = isObject(data.metadata) && isObject(data.metadata.otlp) ? data.metadata.otlp : {};
  const all = (Array.isArray(otlp.events) ? otlp.events : []).filter(isObject);
  if (all.length === 0) return null;
  return el(
    "ol",
    { class: "events" },
    all.map((event, at) => {
      const time = numberOf(event.time_unix_nano);
      return el(
        "li",
        { key: at },
        el("p", {}, el("b", { text: textOf(event.name) ?? "(no name)" }), " ", time !== null && el("span", { class: "muted small", title: moment(time / 1e9), text: `at ${duration(time / 1e9 - trace.start)}` })),
        isObject(event.attributes) && jsonTree(event.attributes, { open: 1 }),
      );
    }),
  );
}

function links(all) {
  return el(
    "ul",
    { class: "links" },
    all.filter(isObject).map((link) =>
      el("li", {}, textOf(link.trace_id) ? el("a", { href: `#/trace/${encodeURIComponent(link.trace_id)}`, text: link.trace_id }) : el("span", { text: "(no trace id)" }), isObject(link.attributes) && jsonTree(link.attributes)),
    ),
  );
}

function others(data) {
  const rest = Object.entries(data).filter(([key]) => !KNOWN.has(key));
  return rest.length > 0 && jsonTree(Object.fromEntries(rest), { open: 1 });
}
