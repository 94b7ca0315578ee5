// Operations, two traces side by side, statistics and flame graph of a trace, order and columns of the list.

import assert from "node:assert/strict";
import { ORIGIN, becomes, check, feeder, listed, live, openTrace, page, recently, row, simple } from "./harness.mjs";
import { Maker, measuredTrace, wideTrace } from "./segments.mjs";

await check("operations are counted by service and what was asked, and lead to their traces", "#/operations", async () => {
  const make = new Maker(71);
  const start = recently();
  const fast = [1, 2, 3].map((n) => simple(make, start + n, { path: `/items/${n}` }));
  const slow = { ...simple(make, start + 4, { path: "/items/4", status: 503 }), end_time: start + 6 };
  const other = simple(make, start + 5, { path: "/cart" });
  await feeder.sendAll([...fast, slow, other]);
  const cells = () => page.locator(".operations tbody tr").evaluateAll((rows) => rows.map((one) => [...one.children].map((cell) => cell.querySelector(".health-bar") ? cell.firstChild.textContent : cell.textContent)));
  await becomes(
    [
      ["simple", "GET /items/{id}", "4", "25 %", "250 ms", "2.00 s", "2.00 s", "2.75 s"],
      ["simple", "GET /cart", "1", "–", "250 ms", "250 ms", "250 ms", "250 ms"],
    ],
    cells,
  );
  await page.getByRole("button", { name: "Requests" }).click();
  await page.getByRole("button", { name: "Requests" }).click();
  await becomes(["GET /cart", "GET /items/{id}"], async () => (await cells()).map((one) => one[1]));
  assert.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending");

  await page.getByRole("link", { name: "GET /items/{id}" }).click();
  await becomes([slow, ...fast.toReversed()].map((one) => one.trace_id), listed);
  await becomes("4 traces match", () => page.locator(".list-summary").textContent());
  await live();
  // What comes later is judged so too.
  const later = [simple(make, start + 7, { path: "/cart" }), simple(make, start + 8, { path: "/items/77" })];
  await feeder.sendAll(later);
  await row(later[1].trace_id).waitFor();
  assert.equal((await listed()).length, 5);
  await page.locator(".doing").click();
  await becomes(7, async () => (await listed()).length);
});

await check("the list is sorted by what the reader chooses, of the span of time that he chooses", "#/traces", async () => {
  const make = new Maker(72);
  const start = recently();
  const of = (offset, seconds) => ({ ...simple(make, start + offset), end_time: start + offset + seconds });
  const [short, long, middle] = [of(0, 0.1), of(1, 3), of(2, 0.5)];
  const old = { ...simple(make, start - 2000), end_time: start - 1999 };
  const many = simple(make, start - 1, { subsegments: [1, 2, 3].map((n) => ({ id: make.id(), name: `part ${n}`, start_time: start - 1, end_time: start - 0.9 })) });
  await feeder.sendAll([short, long, middle, old, many]);
  const ids = (...all) => all.map((one) => one.trace_id);
  await becomes(ids(middle, long, short, many, old), listed);
  const head = page.locator(".table-head");
  await head.getByRole("button", { name: "Response time" }).click();
  await becomes(ids(long, old, middle, many, short), listed);
  await live();
  const longer = of(3, 2);
  await feeder.sendAll([longer]);
  await becomes(ids(long, longer, old, middle, many, short), listed);
  await head.getByRole("button", { name: "Time", exact: true }).click();
  await becomes(ids(longer, middle, long, short, many, old), listed);
  await page.locator(".list-view .select").selectOption("900");
  await becomes(ids(longer, middle, long, short, many), listed);
  assert.ok(page.url().includes("last=900"), page.url());
});

await check("annotations that the reader chooses are columns of the list", "#/traces", async () => {
  const make = new Maker(73);
  const start = recently();
  const [gold, plain] = [simple(make, start, { annotations: { tier: "gold", region: "north" } }), simple(make, start + 1)];
  await feeder.sendAll([gold, plain]);
  await row(gold.trace_id).waitFor();
  await page.locator("#columns").click();
  await page.locator("dialog").getByLabel("tier").check();
  await page.keyboard.press("Escape");
  const cells = (id) => row(id).locator(".cell-column").allTextContents();
  await becomes([["gold"], [""]], async () => [await cells(gold.trace_id), await cells(plain.trace_id)]);
  assert.deepEqual(await page.locator(".table-head .cell-column").allTextContents(), ["tier"]);
  assert.deepEqual(await row(gold.trace_id).locator(".chip-key").allTextContents(), ["region"]);
  await page.reload();
  await becomes(["gold"], () => cells(gold.trace_id));
  await page.evaluate(() => localStorage.clear());
});

await check("two traces stand side by side, matched by name, with their differences", "#/traces", async () => {
  const make = new Maker(74);
  const start = recently();
  const one = measuredTrace(make, start);
  const two = measuredTrace(make, start + 5);
  // The query of the second takes 100 ms more, one part is missing, one is new.
  const query = two.documents.find(({ id }) => id === two.ids.query);
  query.end_time += 0.1;
  const documents = two.documents.filter(({ id }) => id !== two.ids.first);
  documents.push({ ...two.documents.find(({ id }) => id === two.ids.first), id: make.id(), name: "store" });
  await feeder.sendAll([...one.documents, ...documents]);
  await openTrace(one.trace_id);
  await page.getByRole("button", { name: "Compare…" }).click();
  await page.locator(".compare-choices button").first().click();
  const rows = () => page.locator(".compare .virtual-row").evaluateAll((all) => all.map((each) => [each.querySelector(".name").textContent, ...[...each.querySelectorAll(".compare-number")].map((cell) => cell.textContent), each.dataset.mark]));
  await becomes(
    [
      ["measured-web", "1.00 s", "1.00 s", "±0 ms (±0 %)", "same"],
      ["load", "200 ms", "–", "only in A", "only in A"],
      ["measured-api", "600 ms", "600 ms", "±0 ms (±0 %)", "same"],
      ["measured-api", "400 ms", "400 ms", "±0 ms (±0 %)", "same"],
      ["rows@db", "200 ms", "300 ms", "+100 ms (+50 %)", "slower"],
      ["store", "–", "200 ms", "only in B", "only in B"],
    ].map((expected) => expected.join()).sort(),
    async () => (await rows()).map((found) => found.join()).sort(),
  );
  await page.getByRole("button", { name: "Swap" }).click();
  await becomes("−100 ms (−33 %)", async () => (await rows()).find(([name]) => name === "rows@db")?.[3]);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.locator(".trace-view .bar-row").first().waitFor();
});

await check("a large trace can be read as statistics and as a flame graph", "#/traces", async () => {
  const { trace_id, documents, count } = wideTrace(new Maker(75), recently(), 2000);
  await feeder.sendAll(documents);
  await page.goto(`${ORIGIN}/#/trace/${trace_id}?view=statistics`);
  const first = page.locator(".statistics tbody tr").first();
  await first.waitFor();
  await page.locator(".statistics").getByRole("button", { name: "Together" }).click();
  await becomes(["batch-import", "batch-import", "1"], async () => (await first.locator("td").allTextContents()).slice(0, 3));
  await page.getByRole("tab", { name: "Flame graph" }).click();
  const bars = page.locator(".flame-bar");
  await bars.first().waitFor();
  // The root, and its twenty groups beside each other below it.
  const wide = await bars.evaluateAll((all) => all.filter((one) => one.getAttribute("aria-level") === "2").map((one) => one.getBoundingClientRect().width));
  assert.equal(wide.length, 20);
  assert.ok(wide.every((width) => Math.abs(width - wide[0]) < 2), String(wide));
  const all = await bars.first().boundingBox();
  await page.getByRole("treeitem", { name: /^chunk 3,/ }).click();
  await becomes(true, async () => Math.abs((await page.getByRole("treeitem", { name: /^chunk 3,/ }).boundingBox()).width - all.width) < 2);
  await page.keyboard.press("ArrowUp");
  await becomes("1", () => page.evaluate(() => document.activeElement.getAttribute("aria-level")));
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("o");
  await becomes(true, async () => (await page.locator('.bar-row[aria-selected="true"] .name').textContent()).startsWith("chunk "));
  assert.ok(count > 1900);
});
