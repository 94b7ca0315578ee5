// @ts-check
// Traces out of files and into files: dropped on the page, chosen, and saved.

import * as api from "./api.js";
import { announce, make } from "./dom.js";
import { count, plural } from "./format.js";

/** As the server takes it; a larger file is opened from the command line. */
const MAX_BYTES = 32 * 1024 * 1024;

/** Opens files that are dropped anywhere on the page; `app` has go(hash) and notice(text). */
export function watchDrops(app) {
  const shade = make("div", { class: "drop-shade", hidden: true, "aria-hidden": "true" }, make("p", { text: "Drop traces: output of aws xray batch-get-traces, segment documents, OTLP JSON" }));
  document.body.append(shade);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    shade.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) shade.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    shade.hidden = true;
    openFiles([...(event.dataTransfer?.files ?? [])], app);
  });
}

/** A button that lets a reader choose files. */
export function openButton(app) {
  const input = make("input", { type: "file", hidden: true, multiple: true, "aria-hidden": "true", tabindex: "-1" });
  input.addEventListener("change", () => {
    openFiles([...(input.files ?? [])], app);
    input.value = "";
  });
  const title = "Show the traces in a file: output of aws xray batch-get-traces, segment documents, OTLP JSON; or drop it here";
  const button = make("button", { type: "button", class: "button", id: "open", title, text: "Open…", on: { click: () => input.click() } });
  return make("span", { class: "open-files" }, button, input);
}

/** One after the other; leads to the trace when there is only one. */
export async function openFiles(files, app) {
  const ids = new Set();
  let documents = 0;
  for (const file of files) {
    try {
      if (file.size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES / 1024 / 1024} MB: open it with xray dev --open FILE`);
      const found = await api.open(file);
      documents += found.documents;
      for (const id of found.traces) ids.add(id);
      if (found.wrong > 0) app.notice(`${file.name}: ${plural(found.wrong, "value")} in it no trace. ${found.examples[0]}`);
    } catch (error) {
      app.notice(`${file.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (ids.size === 1) app.go(`#/trace/${encodeURIComponent([...ids][0])}`);
  else if (ids.size > 1) app.go("#/traces");
  if (ids.size > 0) announce(`Opened ${count(documents)} documents of ${plural(ids.size, "trace")}`);
}

/** A trace as `aws xray batch-get-traces` prints it. */
export function batchOf(trace) {
  const segments = trace.documents.map((entry) => ({ Id: entry.id, Document: entry.document }));
  return JSON.stringify({ Traces: [{ Id: trace.id, Duration: trace.known_end - trace.start, LimitExceeded: false, Segments: segments }], UnprocessedTraceIds: [] }, null, 2);
}

/** Lets the browser save a text under a name. The address is one of this page's own memory. */
export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // After the browser has begun to read it.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
