// What a trace tells beside its bars: hints, stacks in their language's form, events and links of spans, logs, and files.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { ORIGIN, becomes, check, feeder, listed, openTrace, page, picture, recently, row, simple } from "./harness.mjs";
import { Maker } from "./segments.mjs";

await check("hints say what went wrong in who sent the trace, and lead to the place", "#/traces", async () => {
  const make = new Maker(91);
  const shop = simple(make, recently());
  const late = { trace_id: shop.trace_id, id: make.id(), parent_id: "00000000000000aa", type: "subsegment", name: "late", start_time: shop.start_time, end_time: shop.end_time };
  await feeder.sendAll([shop, late]);
  await openTrace(shop.trace_id);
  const hint = page.locator(".hint-line[data-code=waits_for_parent]");
  await becomes(true, async () => (await hint.textContent()).startsWith('"late" waits for "00000000000000aa", which has not come.'));
  assert.equal(await hint.locator("bdi").first().textContent(), '"late"');
  await hint.getByRole("button").click();
  await becomes("late", () => page.locator(".details-head h2").textContent());
  await picture("hints");
});

await check("stacks of Python end with the newest call, and are copied as Python writes them", "#/traces", async () => {
  const make = new Maker(92);
  const frames = Array.from({ length: 20 }, (_, at) => ({ path: `/srv/app/f${at}.py`, line: at + 1, label: `call_${at}` }));
  const exception = { id: make.id(), type: "ValueError", message: "no money", stack: frames };
  const python = simple(make, recently(), { status: 500, cause: { exceptions: [exception] } });
  const java = simple(make, recently(), { status: 500, cause: { exceptions: [{ ...exception, stack: [{ path: "Pay.java", line: 7, label: "com.example.Pay.run" }] }] } });
  await feeder.sendAll([python, java]);
  await page.evaluate(() => (navigator.clipboard.writeText = async (text) => void (globalThis.copied = text)));
  await openTrace(python.trace_id);
  const stack = page.locator(".details .exception").first();
  await becomes("Most recent call last", () => stack.locator(".stack-order").textContent());
  const shown = await stack.locator(".frame-label").allTextContents();
  assert.deepEqual([shown.length, shown.at(-1)], [12, "call_19"]);
  await stack.getByRole("button", { name: "8 earlier frames" }).click();
  await becomes(20, () => stack.locator(".frame-label").count());
  await stack.getByRole("button", { name: "Copy stack" }).click();
  await becomes(true, async () => (await page.evaluate(() => globalThis.copied ?? "")).startsWith('Traceback (most recent call last):\n  File "/srv/app/f0.py", line 1, in call_0\n'));
  assert.ok((await page.evaluate(() => globalThis.copied)).endsWith("in call_19\nValueError: no money"));
  await openTrace(java.trace_id);
  await becomes(0, () => stack.locator(".stack-order").count());
  await page.evaluate(() => (navigator.clipboard.writeText = async (text) => void (globalThis.copied = text)));
  await stack.getByRole("button", { name: "Copy stack" }).click();
  await becomes("ValueError: no money\n\tat com.example.Pay.run(Pay.java:7)", () => page.evaluate(() => globalThis.copied));
});

/** A request of OTLP with a span below `parent`, an event and a link. */
function otlp(trace_id, parent, start) {
  const nano = (seconds) => `${Math.round(seconds * 1000)}000000`;
  const text = (key, value) => ({ key, value: { stringValue: value } });
  const span = {
    traceId: trace_id.replaceAll("-", "").slice(1),
    spanId: "00000000000000bb",
    parentSpanId: parent,
    name: "charge",
    kind: 2,
    startTimeUnixNano: nano(start + 0.05),
    endTimeUnixNano: nano(start + 0.15),
    events: [{ name: "retrying", timeUnixNano: nano(start + 0.1), attributes: [text("attempt", "2")] }],
    links: [{ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "00f067aa0ba902b7" }],
  };
  return { resourceSpans: [{ resource: { attributes: [text("service.name", "payments")] }, scopeSpans: [{ spans: [span] }] }] };
}

await check("spans and segments stand in one tree, a file is dropped on the page, and events and links are shown", "#/traces", async () => {
  const make = new Maker(93);
  const start = recently();
  const shop = simple(make, start);
  const request = otlp(shop.trace_id, shop.id, start);
  const file = `${JSON.stringify(shop)}\n${JSON.stringify(request)}\n`;
  await page.evaluate((text) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], "trace.json", { type: "application/json" }));
    const drop = (type) => document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    drop("dragover");
    drop("drop");
  }, file);
  await becomes(["simple", "payments"], () => page.locator(".bar-row .name").allTextContents());
  assert.equal(await page.locator(".drop-shade").isVisible(), false);
  await page.locator(".bar-row", { hasText: "payments" }).click();
  const section = (name) => page.locator(`.details [data-section="${name}"]`);
  await becomes(true, async () => ((await section("Events").textContent()) ?? "").includes("retrying at 100 ms"));
  const link = section("Links").getByRole("link");
  assert.equal(await link.textContent(), "1-0af76519-16cd43dd8448eb211c80319c");
  await picture("otlp-beside-segments");
});

await check("a trace is saved as the AWS command line prints it, and a file brings it back", "#/traces", async () => {
  const make = new Maker(94);
  const trace = simple(make, recently());
  await feeder.sendAll([trace]);
  await openTrace(trace.trace_id);
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#download").click()]);
  assert.equal(download.suggestedFilename(), `${trace.trace_id}.json`);
  const text = await readFile(await download.path(), "utf8");
  const batch = JSON.parse(text);
  assert.deepEqual([batch.Traces[0].Id, batch.Traces[0].Segments[0].Id], [trace.trace_id, trace.id]);
  assert.equal(JSON.parse(batch.Traces[0].Segments[0].Document).id, trace.id);
  await feeder.clear();
  await page.goto(`${ORIGIN}/#/traces`);
  await becomes([], listed);
  await page.locator("#open + input").setInputFiles({ name: "saved.json", mimeType: "application/json", buffer: Buffer.from(text) });
  await becomes(trace.trace_id, () => page.locator(".trace-id").textContent());
  await page.goto(`${ORIGIN}/#/traces`);
  await row(trace.trace_id).waitFor();
  await page.locator("#open + input").setInputFiles({ name: "other.json", mimeType: "application/json", buffer: Buffer.from("{}") });
  await becomes(true, async () => ((await page.locator("#banner").textContent()) ?? "").includes("other.json: No trace is in this file"));
});

await check("lines of a log stand beside the trace at their time, and lead to what was at work then", "#/traces", async () => {
  const make = new Maker(95);
  const start = recently();
  const call = { id: make.id(), name: "charge", start_time: start + 0.1, end_time: start + 0.2 };
  const trace = simple(make, start, { subsegments: [call] });
  await feeder.sendAll([trace]);
  await openTrace(trace.trace_id);
  assert.equal(await page.locator(".log-line").count(), 0);
  const at = (seconds) => new Date(Math.round((start + seconds) * 1000)).toISOString();
  const lines = [`${at(0.15)} ERROR ${trace.trace_id} <b>no</b> money`, "  File pay.py, line 5", `${at(0.05)} INFO ${trace.trace_id} asked`, ""];
  await writeFile(process.env.PAGE_LOG, lines.join("\n"), { flag: "a" });
  await becomes(["+50.0 ms", "+150 ms"], () => page.locator(".log-time").allTextContents());
  const error = page.locator(".log-line.is-error");
  assert.ok((await error.locator(".log-text").textContent()).endsWith("<b>no</b> money\n  File pay.py, line 5"));
  await becomes(2, () => page.locator(".log-mark").count());
  await error.locator(".log-node").click();
  await becomes("charge", () => page.locator(".details-head h2").textContent());
  await picture("logs");
});
