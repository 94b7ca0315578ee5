// @ts-check
// An exception with its stack, as the sender's language would print it.

import { Component, el } from "./dom.js";
import { copyButton } from "./empty.js";
import { plural } from "./format.js";
import { longText } from "./json.js";
import { isObject, numberOf, textOf } from "./model.js";
import { isNewestLast, partsOf, stackText } from "./stack.js";

const FRAMES_AT_ONCE = 12;

/** `node` holds the other exceptions, so that "caused by" can be named. */
export function exceptionBlock(exception, node) {
  const frames = (Array.isArray(exception.stack) ? exception.stack : []).filter(isObject);
  const caused = textOf(exception.cause) && node.exceptions.find((other) => other.id === exception.cause);
  const skipped = numberOf(exception.skipped) ?? 0;
  const truncated = numberOf(exception.truncated) ?? 0;
  return el(
    "article",
    { class: "exception" },
    el("p", { class: "exception-type", text: textOf(exception.type) ?? "Exception" }),
    textOf(exception.message) && el("p", { class: "exception-message" }, longText(exception.message, "")),
    exception.remote === true && el("p", { class: "muted small", text: "Raised by the service that was called." }),
    caused && el("p", { class: "muted small" }, "Caused by ", el("code", { text: textOf(caused.type) ?? caused.id })),
    frames.length > 0 && el(Stack, { frames, newestLast: isNewestLast(frames, node) }),
    skipped > 0 && el("p", { class: "muted small", text: `${plural(skipped, "more exception")} left out by the sender.` }),
    truncated > 0 && el("p", { class: "muted small", text: `${plural(truncated, "more frame")} left out by the sender.` }),
    frames.length > 0 && copyButton(() => stackText(exception, frames, node), "Copy stack"),
  );
}

class Stack extends Component {
  state = { all: false };

  /** The frames next to where it was raised are the ones that say most. */
  render({ frames, newestLast }, { all }) {
    const rest = frames.length - FRAMES_AT_ONCE;
    const some = newestLast ? frames.slice(-FRAMES_AT_ONCE) : frames.slice(0, FRAMES_AT_ONCE);
    const more = !all && rest > 0 && el("button", { type: "button", class: "link-button", text: plural(rest, newestLast ? "earlier frame" : "more frame"), on: { click: () => this.setState({ all: true }) } });
    return el(
      "div",
      {},
      newestLast && el("p", { class: "muted small stack-order", text: "Most recent call last" }),
      newestLast && more,
      el("ol", { class: "stack" }, (all ? frames : some).map(frameLine)),
      !newestLast && more,
    );
  }
}

function frameLine(frame) {
  const { directory, file, line, label } = partsOf(frame);
  return el("li", {}, el("span", { class: "frame-label", text: label }), el("span", { class: "frame-path" }, directory && el("span", { class: "frame-dir", text: directory }), el("span", { class: "frame-file", text: file }), line && el("span", { class: "frame-line", text: `:${line}` })));
}
