// The list of traces: clearing it, and what it costs when many traces come.

import assert from "node:assert/strict";
import { becomes, check, feeder, listed, live, page, recently, row, simple } from "./harness.mjs";
import { Maker } from "./segments.mjs";

await check("what was cleared can be brought back, and a store file makes the page ask first", "#/traces", async () => {
  const make = new Maker(51);
  const start = recently();
  const [one, two] = [simple(make, start), simple(make, start + 1)];
  await feeder.sendAll([one, two]);
  await becomes([two.trace_id, one.trace_id], listed);
  await live();
  await page.locator("#clear").click();
  await becomes([], listed);
  const offer = page.locator("#offer");
  assert.equal(await offer.locator("span").textContent(), "2 traces cleared.");
  const since = simple(make, start + 2);
  await feeder.sendAll([since]);
  await row(since.trace_id).waitFor();
  await offer.getByRole("button", { name: "Undo" }).click();
  await becomes([since.trace_id, two.trace_id, one.trace_id], listed);
  assert.equal(await offer.isVisible(), false);

  // The daemon of these tests keeps no file, so the answer says that it does.
  await page.route(/\/-\/stats/, async (route) => {
    const answer = await route.fetch();
    const stats = await answer.json();
    stats.store.file = "/srv/traces.store";
    await route.fulfill({ response: answer, body: JSON.stringify(stats) });
  });
  try {
    const dialog = page.locator("dialog");
    await page.locator("#clear").click();
    await becomes("The 3 traces in /srv/traces.store go too.", () => dialog.locator(".dialog-body p").first().textContent());
    await page.keyboard.press("Escape");
    await becomes(0, () => dialog.count());
    assert.equal((await listed()).length, 3);
    await page.locator("#clear").click();
    await dialog.getByRole("button", { name: "Clear" }).click();
    await becomes([], listed);
    await offer.waitFor();
    await page.keyboard.press("u");
    await becomes(3, async () => (await listed()).length);
  } finally {
    await page.unroute(/\/-\/stats/);
  }
});

await check("a new trace is lit up, and of many at once none", "#/traces", async () => {
  const make = new Maker(52);
  const start = recently();
  await live();
  // Each row that is lit up, also those that are gone again before anyone looks.
  await page.evaluate(() => {
    globalThis.lit = 0;
    new MutationObserver(() => (globalThis.lit = Math.max(globalThis.lit, document.querySelectorAll(".trace-row.is-new").length))).observe(document.querySelector(".list-view"), { subtree: true, childList: true, attributes: true });
  });
  const one = simple(make, start);
  await feeder.sendAll([one]);
  await row(one.trace_id).waitFor();
  await becomes(1, () => page.evaluate(() => globalThis.lit));
  await feeder.sendAll(Array.from({ length: 100 }, (_, n) => simple(make, start + n / 100)));
  await becomes("101 traces", () => page.locator(".list-summary").textContent());
  const lit = await page.evaluate(() => globalThis.lit);
  assert.ok(lit <= 20, `${lit} lit up`);
});
