// How a trace is found: by its id, by words, by a filter; and what the list says of how many there are.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ORIGIN, becomes, check, feeder, filter, listed, live, page, recently, row, simple } from "./harness.mjs";
import { Maker } from "./segments.mjs";

const summary = () => page.locator(".list-summary").textContent();
const opened = async (id) => {
  await becomes(`#/trace/${id}`, async () => (await page.evaluate(() => location.hash)).split("?")[0]);
  await becomes(id, () => page.locator(".trace-id").textContent());
};

/** As the browser does when a reader presses Ctrl and V. */
const paste = (text) =>
  page.evaluate((pasted) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text", pasted);
    (document.activeElement ?? document.body).dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, text);

await check("a pasted trace id opens the trace from any view, in each of its forms, also in the address", "#/traces", async () => {
  const make = new Maker(81);
  const trace = simple(make, recently());
  const id = trace.trace_id;
  const hex = id.replaceAll("-", "").slice(1);
  await feeder.sendAll([trace]);
  await row(id).waitFor();
  for (const [hash, text] of [
    ["#/traces", id],
    ["#/map", `Root=${id};Parent=53995c3f42cd8ad8;Sampled=1`],
    ["#/traces", hex.toUpperCase()],
    ["#/trace/1-00000000-000000000000000000000000", `X-Amzn-Trace-Id: Root=${id}`],
    ["#/map", `00-${hex}-53995c3f42cd8ad8-01`],
  ]) {
    await page.goto(`${ORIGIN}/${hash}`);
    await page.locator("main > .view").waitFor();
    await paste(text);
    await opened(id);
  }
  for (const address of [`#/trace/${hex}`, `#/trace/${encodeURIComponent(`Root=${id};Sampled=1`)}`, `#${id}`, `#/${hex}`]) {
    await page.goto("about:blank");
    await page.goto(`${ORIGIN}/${address}`);
    await becomes(id, () => page.locator(".trace-id").textContent());
  }
  // Typed into either filter.
  await page.goto(`${ORIGIN}/#/traces`);
  await filter(`Root=${id}`);
  await opened(id);
  await page.goto(`${ORIGIN}/#/map`);
  await page.locator(".map-view .filter-input").fill(hex);
  await page.keyboard.press("Enter");
  await opened(id);
  // A text that somebody writes stays one.
  await page.goto(`${ORIGIN}/#/traces`);
  await page.locator(".list-view .filter-input").fill("fault AND ");
  await paste(id);
  assert.equal(await page.evaluate(() => location.hash), "#/traces");
});

await check("a bare word is looked for in URL, name, service, annotations and exceptions", "#/traces", async () => {
  const make = new Maker(82);
  const start = recently();
  const cause = { exceptions: [{ id: make.id(), type: "PayError", message: "card declined" }] };
  const [plain, gold, failed] = [simple(make, start, { path: "/carts" }), simple(make, start + 1, { annotations: { tier: "Gold" } }), simple(make, start + 2, { status: 500, cause })];
  await feeder.sendAll([plain, gold, failed]);
  await becomes(3, async () => (await listed()).length);
  for (const [words, found] of [["carts", plain], ["gold", gold], ["declined", failed], ["payerror simple", failed], ["fault AND simple", failed]]) {
    await filter(words);
    await becomes([found.trace_id], listed);
    await becomes("1 trace matches", summary);
  }
  await filter("nothing-has-this");
  await becomes([], listed);
  await page.locator(".no-match").waitFor();
});

await check("a filter that cannot be read greys the rows of before, and Escape clears it from anywhere", "#/traces", async () => {
  const make = new Maker(83);
  const start = recently();
  await feeder.sendAll([simple(make, start), simple(make, start + 1, { status: 500 })]);
  await becomes(2, async () => (await listed()).length);
  await filter("fault AND ((");
  await page.locator(".table.is-stale").waitFor();
  assert.ok(Number(await page.locator(".table").evaluate((table) => getComputedStyle(table).opacity)) < 0.6);
  assert.equal(await summary(), "These are the traces of before");
  await filter("fault");
  await becomes(1, async () => (await listed()).length);
  assert.equal(await page.locator(".table.is-stale").count(), 0);

  await page.locator("#theme").focus();
  await page.keyboard.press("Escape");
  await becomes(2, async () => (await listed()).length);
  await filter("fault");
  await becomes(1, async () => (await listed()).length);
  const box = page.locator(".list-view .filter-input");
  await box.focus();
  await becomes(true, async () => {
    await page.keyboard.press("Escape");
    return (await box.inputValue()) === "";
  });
  await becomes(2, async () => (await listed()).length);
  await page.goto(`${ORIGIN}/#/map?filter=fault`);
  await page.locator(".map-view").waitFor();
  await page.locator("#theme").focus();
  await page.keyboard.press("Escape");
  await becomes("#/map", () => page.evaluate(() => location.hash));
});

await check("totals are what is there, and the pill of new traces adds up", "#/traces", async () => {
  const make = new Maker(84);
  const start = recently() - 1000;
  const first = Array.from({ length: 230 }, (_, at) => simple(make, start + at));
  await page.goto("about:blank");
  await feeder.sendAll(first);
  await page.goto(`${ORIGIN}/#/traces`);
  await becomes("200 of 230 traces", summary);
  await live();
  // One that is below the rows that are listed changes: nothing is new.
  await feeder.sendAll([{ ...first[0], id: make.id(), parent_id: first[0].id }]);
  await page.locator(".table .virtual").evaluate((list) => list.scrollTo(0, 2000));
  for (let at = 0; at < 3; at += 1) {
    await feeder.sendAll([simple(make, start + 500 + at)]);
    await becomes(`${at + 1} new ${at === 0 ? "trace" : "traces"} ↑`, () => page.locator(".new-pill").textContent());
  }
  await becomes(true, async () => /^\d+ of 233 traces$/.test(await summary()));
  await page.locator(".new-pill").click();
  await feeder.sendAll([simple(make, start + 600)]);
  await becomes(false, () => page.locator(".new-pill").isVisible());
  await becomes(true, async () => / of 234 traces$/.test(await summary()));
});

await check("times have a date where they are not of today, a zone, and the form that the terminal has", "#/traces", async () => {
  const make = new Maker(85);
  const [today, old] = [simple(make, recently()), simple(make, 1_795_227_595.1206)];
  await feeder.sendAll([today, old]);
  await becomes(2, async () => (await listed()).length);
  const time = (trace) => row(trace.trace_id).locator(".cell-time");
  assert.equal(await time(today).locator(".cell-date").count(), 0);
  assert.equal(await time(old).textContent(), "02:19:55.1212026-11-21");
  assert.equal(await time(old).getAttribute("title"), "2026-11-21 02:19:55.121 UTC");
  assert.equal(await page.locator(".table-head .cell-time").textContent(), "Time UTC↓");

  const { durations, moments } = JSON.parse(readFileSync(new URL("../../src/dev/lines/times.json", import.meta.url), "utf8"));
  const said = await page.evaluate(
    async ([seconds, times]) => {
      const { clock, duration } = await import("/assets/format.js");
      return { durations: seconds.map(([value]) => duration(value)), clocks: times.map(([value]) => clock(value)) };
    },
    [durations, moments],
  );
  assert.deepEqual(said.durations, durations.map(([, text]) => text));
  assert.deepEqual(said.clocks, moments.map(([, , text]) => text.replace(/^.* /, "").replace(/Z$/, "")));
});

await check("segments and subsegments are told apart, and a local call is named by who answered", "#/traces", async () => {
  const make = new Maker(86);
  const start = recently();
  const call = { id: make.id(), name: "127.0.0.1:8080", namespace: "remote", start_time: start + 0.01, end_time: start + 0.2 };
  const shop = simple(make, start, { subsegments: [call] });
  const pay = { trace_id: shop.trace_id, id: make.id(), parent_id: call.id, name: "payments", start_time: start + 0.02, end_time: start + 0.19 };
  await feeder.sendAll([shop, pay]);
  const cell = row(shop.trace_id).locator(".cell-segments");
  await becomes("2+1", () => cell.textContent());
  assert.equal(await cell.getAttribute("title"), "2 segments, 1 subsegment");
  await row(shop.trace_id).click();
  await becomes(["simple", "payments", "payments"], () => page.locator(".bar-row .name").allTextContents());
  const facts = (await page.locator(".facts").textContent()) ?? "";
  assert.ok(facts.includes("Segments2") && facts.includes("Subsegments1"), facts);
});
