// The timeline of a trace: the keyboard, what stays while a trace grows, what has not ended, clocks that differ.

import assert from "node:assert/strict";
import { bar, becomes, check, feeder, live, openTrace, page, recently, row, simple } from "./harness.mjs";
import { Maker, measuredTrace, wideTrace } from "./segments.mjs";

/** The segment whose row has the keyboard; of anything else its tag. */
const focused = () => page.evaluate(() => document.activeElement?.dataset?.id ?? document.activeElement?.tagName);
const selected = () => page.locator('.bar-row[aria-selected="true"]').evaluateAll((rows) => rows.map((one) => one.dataset.id));
const tabStops = () => page.locator('.bar-row[tabindex="0"]').evaluateAll((rows) => rows.map((one) => one.dataset.id));
/** Where a bar is, in hundredths of its lane. */
const placeOf = (id) =>
  bar(id).evaluate((one) => {
    const [lane, drawn] = [".lane", ".bar"].map((selector) => one.querySelector(selector).getBoundingClientRect());
    return [drawn.left - lane.left, drawn.right - lane.left].map((x) => Math.round((100 * x) / lane.width));
  });

await check("arrow keys move through the timeline from the moment it opens, and nothing takes the keyboard away", "#/traces", async () => {
  const { trace_id, documents, order, ids } = measuredTrace(new Maker(31), recently());
  const late = documents.find((document) => document.id === ids.first);
  await feeder.sendAll(documents.filter((document) => document !== late));
  await openTrace(trace_id);
  await live();
  // The deepest failure is chosen; its row has the only tab stop and the keyboard.
  await becomes(ids.query, focused);
  await becomes([ids.query], tabStops);
  await page.keyboard.press("ArrowUp");
  await becomes([ids.api, [ids.api], [ids.api]], async () => [await focused(), await selected(), await tabStops()]);
  for (const key of ["+", "-", "0", "Shift+ArrowRight"]) {
    await page.keyboard.press(key);
    await becomes(ids.api, focused);
  }
  await page.keyboard.press("ArrowLeft"); // folds
  await bar(ids.query).waitFor({ state: "detached" });
  await becomes([ids.api, "false"], async () => [await focused(), await bar(ids.api).getAttribute("aria-expanded")]);
  await feeder.send(late);
  await bar(ids.first).waitFor();
  await becomes([ids.api, [ids.api], [ids.api]], async () => [await focused(), await selected(), await tabStops()]);
  await page.keyboard.press("ArrowRight"); // unfolds
  await bar(ids.query).waitFor();
  await becomes(ids.api, focused);

  // From anywhere else in the view too.
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Home");
  await becomes([order[0], [order[0]]], async () => [await focused(), await selected()]);
  await page.keyboard.press("End");
  await becomes(order.at(-1), focused);
  // What is folded away leaves the keyboard to what it was folded into.
  await page.getByRole("button", { name: "Fold", exact: true }).click();
  await becomes([[ids.call], [ids.call]], async () => [await selected(), await tabStops()]);
});

await check("a trace that grows while it is read keeps scroll, choice, keyboard and open sections", "#/traces", async () => {
  const { trace_id, documents } = wideTrace(new Maker(32), recently(), 600);
  const late = documents.splice(3, 4);
  await feeder.sendAll(documents);
  await openTrace(trace_id);
  await live();
  const rows = page.locator(".waterfall .virtual");
  await rows.evaluate((viewport) => viewport.scrollTo(0, 6000));
  const chosen = documents.at(-9).subsegments[9].id;
  await becomes(true, async () => {
    await rows.evaluate((viewport) => viewport.scrollBy(0, 300));
    return (await bar(chosen).count()) > 0 && (await bar(chosen).evaluate((one) => one.getBoundingClientRect().top)) < 700;
  });
  await bar(chosen).click();
  const raw = page.locator('[data-section="Raw JSON"]');
  await raw.locator("summary").click();
  await raw.locator(".raw").waitFor();
  const timing = page.locator('[data-section="Timing"]');
  await timing.locator("summary").click();
  await timing.locator("dl").waitFor({ state: "detached" });
  await page.locator(".details-body").evaluate((body) => (body.scrollTop = 120));
  await raw.locator(".raw").evaluate((text) => (text.scrollTop = 40));
  await bar(chosen).focus();
  const state = () =>
    page.evaluate(() => ({
      focused: document.activeElement?.dataset?.id,
      selected: [...document.querySelectorAll('.bar-row[aria-selected="true"]')].map((one) => one.dataset.id),
      // In the timeline: what is said above it may take a line more.
      top: Math.round(document.activeElement.getBoundingClientRect().top - document.querySelector(".waterfall .virtual").getBoundingClientRect().top),
      open: [...document.querySelectorAll(".details-body > details[open]")].map((one) => one.dataset.section),
      details: document.querySelector(".details-body").scrollTop,
      raw: document.querySelector(".raw").scrollTop,
    }));
  const before = await state();
  assert.deepEqual([before.focused, before.selected, before.open, before.details > 0, before.raw], [chosen, [chosen], ["Raw JSON"], true, 40]);
  const all = Number(await page.locator(".facts .fact", { hasText: "egments" }).locator("dd").last().textContent());
  await feeder.sendAll(late);
  const grown = late.reduce((sum, one) => sum + 1 + one.subsegments.length, all);
  await becomes(grown, async () => Number(await page.locator(".facts .fact", { hasText: "egments" }).locator("dd").last().textContent()));
  assert.deepEqual(await state(), before);
});

await check("what has not ended lasts until now, and after some minutes may never end", "#/traces", async () => {
  const make = new Maker(33);
  const open = (start, extra) => {
    const sent = simple(make, start, { path: "/open", in_progress: true, ...extra });
    delete sent.end_time;
    delete sent.http.response;
    return sent;
  };
  const now = Date.now() / 1000;
  const hanging = open(now - 30);
  await feeder.sendAll([hanging]);
  await row(hanging.trace_id).waitFor();
  assert.match(await row(hanging.trace_id).locator(".number").textContent(), /^3\d\.\d s so far$/);
  assert.equal(await row(hanging.trace_id).locator(".tag").first().textContent(), "In progress");
  await openTrace(hanging.trace_id);
  assert.match(await bar(hanging.id).locator(".bar-label").textContent(), /^\d\d\.\d s so far$/);
  assert.deepEqual(await placeOf(hanging.id), [0, 100]);
  assert.match(await page.locator(".axis-tick").last().textContent(), /^\d\d s$/);
  const first = await bar(hanging.id).locator(".bar-label").textContent();
  await becomes(true, async () => (await bar(hanging.id).locator(".bar-label").textContent()) !== first);

  const work = { id: make.id(), name: "work", start_time: now - 3660, end_time: now - 3659 };
  const lost = open(now - 3660, { subsegments: [work] });
  await feeder.sendAll([lost]);
  await openTrace(lost.trace_id);
  await becomes("1 h 01 m so far, never ended?", () => bar(lost.id).locator(".bar-label").textContent());
  assert.equal(await page.locator(".trace-flags .tag-progress").textContent(), "Never ended?");
  // What was recorded can be read; all of it is one key away.
  const [from, to] = await placeOf(work.id);
  assert.ok(from === 0 && to > 80, `${from} to ${to}`);
  await page.keyboard.press("0");
  await becomes([0, 100], () => placeOf(lost.id));
});

await check("clocks that differ are marked, do not take the axis, and can be adjusted", "#/traces", async () => {
  const { trace_id, documents, ids } = measuredTrace(new Maker(34), recently());
  for (const document of documents.filter(({ id }) => id === ids.api || id === ids.query)) {
    document.start_time -= 5;
    document.end_time -= 5;
  }
  await feeder.sendAll(documents);
  await openTrace(trace_id);
  // The call has 600 ms, the segment 400: the guess is 100 ms each way, as it was.
  await becomes("clock 5.00 s behind", () => bar(ids.api).locator(".tag-clock").textContent());
  assert.equal(await bar(ids.query).locator(".tag-clock").count(), 0, "of the same clock as its segment");
  assert.equal(await page.locator(".trace-flags .tag-clock").textContent(), "Clocks differ by 5.00 s");
  assert.deepEqual([await placeOf(ids.root), await placeOf(ids.call)], [[0, 100], [30, 90]]);
  assert.equal(await bar(ids.api).locator(".out-of-sight").textContent(), "‹ 5.00 s early by its clock ");
  assert.equal(await page.locator("#clocks").getAttribute("aria-pressed"), "false");
  await page.locator("#clocks").click();
  await becomes([40, 80], () => placeOf(ids.api));
  assert.deepEqual(await placeOf(ids.query), [50, 70]);
  await page.locator("#clocks").click();
  await bar(ids.api).locator(".out-of-sight").waitFor();
});
