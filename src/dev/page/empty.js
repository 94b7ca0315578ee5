// @ts-check
// What a newcomer sees: where this daemon listens, and the shortest ways to a first trace.

import { Component, copyText, el } from "./dom.js";
import { icon } from "./icons.js";

const DEFAULT_ADDRESS = "127.0.0.1:2000";

const APPS = [
  {
    name: "Flask",
    imports: ["from aws_xray_sdk.core import xray_recorder", "from aws_xray_sdk.ext.flask.middleware import XRayMiddleware"],
    lines: ['xray_recorder.configure(service="my-app")', "XRayMiddleware(app, xray_recorder)"],
    install: "pip install aws-xray-sdk",
  },
  {
    name: "Django",
    imports: ["# settings.py"],
    lines: [
      'XRAY_RECORDER = {"AWS_XRAY_TRACING_NAME": "my-app"}',
      'INSTALLED_APPS += ["aws_xray_sdk.ext.django"]',
      'MIDDLEWARE.insert(0, "aws_xray_sdk.ext.django.middleware.XRayMiddleware")',
    ],
    install: "pip install aws-xray-sdk",
  },
  {
    name: "Any Python",
    imports: ["from aws_xray_sdk.core import xray_recorder"],
    lines: ['xray_recorder.configure(service="my-script")', 'with xray_recorder.in_segment("work"): ...'],
    install: "pip install aws-xray-sdk",
  },
  {
    name: "Express",
    imports: ['const AWSXRay = require("aws-xray-sdk-core"), xrayExpress = require("aws-xray-sdk-express");'],
    lines: ['app.use(xrayExpress.openSegment("my-app"));   // before the routes', "app.use(xrayExpress.closeSegment());            // after them"],
    install: "npm install aws-xray-sdk-core aws-xray-sdk-express",
  },
];

/**
 * A shell line that sends one segment. `cat` makes it one datagram: bash would send each line as one of its own. The
 * 1 before $RANDOM keeps a leading zero from making the number octal.
 */
export function shellLine(address) {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  const port = address.slice(at + 1);
  return (
    `t=$(date +%s); printf '{"format":"json","version":1}\\n` +
    `{"name":"hello","id":"%016x","trace_id":"1-%08x-%024x","start_time":%d.1,"end_time":%d.4}' ` +
    `1$RANDOM$RANDOM $t 1$RANDOM$RANDOM$RANDOM $t $t | cat > /dev/udp/${host}/${port}`
  );
}

/** The whole onboarding; `stats` may be null until it is known. */
export function emptyState(stats) {
  const udp = stats?.receiving?.udp ?? DEFAULT_ADDRESS;
  return el(
    "div",
    { class: "onboarding" },
    el("div", { class: "pulse", "aria-hidden": "true" }),
    el("h1", { text: "Waiting for a first segment" }),
    el("p", { class: "lead" }, "Listening on UDP ", el("code", { text: udp }), ". Traces show up here the moment they arrive; nothing leaves this machine."),
    el("section", { class: "step card" }, el("h2", {}, el("span", { class: "step-number", text: "1" }), "Send one without an SDK"), el("p", { class: "muted", text: "Paste into bash:" }), codeBlock(shellLine(udp))),
    el("section", { class: "step card" }, el("h2", {}, el("span", { class: "step-number", text: "2" }), "Add the SDK to your app"), el(Apps, { udp })),
  );
}

/** The frameworks as tabs. */
class Apps extends Component {
  state = { chosen: 0 };

  choose(index, event) {
    event?.preventDefault();
    this.setState({ chosen: index }, () => event && document.getElementById(`app-tab-${index}`)?.focus());
  }

  render({ udp }, { chosen }) {
    const keydown = (event, index) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) this.choose((index + step + APPS.length) % APPS.length, event);
    };
    const tabs = APPS.map((app, index) =>
      el("button", {
        type: "button",
        role: "tab",
        class: "tab",
        id: `app-tab-${index}`,
        "aria-controls": "app-panel",
        "aria-selected": String(index === chosen),
        tabindex: index === chosen ? 0 : -1,
        text: app.name,
        on: { click: () => this.choose(index), keydown: (event) => keydown(event, index) },
      }),
    );
    const app = APPS[chosen];
    const body = el("code", {}, el("span", { class: "dim", text: `${app.imports.join("\n")}\n` }), el("strong", { text: app.lines.join("\n") }));
    return el(
      "div",
      {},
      el("div", { class: "tab-row", role: "tablist", "aria-label": "Framework" }, tabs),
      el(
        "div",
        { class: "app-panel", role: "tabpanel", id: "app-panel", "aria-labelledby": `app-tab-${chosen}` },
        codeBlock([...app.imports, ...app.lines].join("\n"), body),
        el("p", { class: "muted" }, el("code", { text: app.install }), udp === DEFAULT_ADDRESS ? null : [", and start the app with ", el("code", { text: `AWS_XRAY_DAEMON_ADDRESS=${udp}` })]),
      ),
    );
  }
}

function codeBlock(text, body = el("code", { text })) {
  return el("div", { class: "code-block" }, el("pre", {}, body), copyButton(() => text));
}

/** A button that copies what `read()` gives and says so. */
export function copyButton(read, label = "Copy") {
  return el(CopyButton, { read, label });
}

const FACES = { copy: null, check: "Copied", warning: "Not copied" };
const SAID_FOR_MS = 1500;

class CopyButton extends Component {
  state = { face: "copy" };

  async copy() {
    const done = await copyText(this.props.read());
    this.setState({ face: done ? "check" : "warning" });
    setTimeout(() => this.setState({ face: "copy" }), SAID_FOR_MS);
  }

  render({ label }, { face }) {
    return el("button", { type: "button", class: "button small copy", on: { click: () => this.copy() } }, icon(face, 14), el("span", { text: FACES[face] ?? label }));
  }
}

/** Traces are there, but none that match. */
export function noMatch(filter, onClear) {
  return el(
    "div",
    { class: "no-match" },
    el("h1", { text: "No trace matches" }),
    el("p", {}, el("code", { text: filter })),
    el("button", { type: "button", class: "button", text: "Clear the filter", on: { click: onClear } }),
  );
}
