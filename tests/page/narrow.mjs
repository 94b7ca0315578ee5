// Narrow windows: nothing is cut off at the side, lanes have room, labels do not lie on each other.

import assert from "node:assert/strict";
import { ORIGIN, becomes, check, feeder, openTrace, page, recently, row } from "./harness.mjs";
import { Maker, measuredTrace, shopTrace } from "./segments.mjs";

/** What can be scrolled sideways or reaches beyond the window, which no view does. */
const beyond = () =>
  page.evaluate(() => {
    const wider = (one) => one.scrollWidth > one.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(one).overflowX);
    const outside = (one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".sr-only, svg, pre");
    return [document.documentElement, ...document.body.querySelectorAll("*")].filter((one) => outside(one) || (wider(one) && !one.closest("pre"))).map((one) => `${one.tagName}.${one.className}`);
  });

/** Whether two labels of a histogram's axis overlap; null while there are none. */
const overlapping = (where) =>
  page.evaluate((selector) => {
    const range = document.createRange();
    const boxes = [...document.querySelectorAll(`${selector} .histogram-axis span`)].filter((one) => one.textContent !== "").map((one) => {
      range.selectNodeContents(one);
      return range.getBoundingClientRect();
    });
    return boxes.length === 0 ? null : boxes.some((box, at) => at > 0 && box.left < boxes[at - 1].right + 2);
  }, where);

await check("phones and narrow windows show all of each view, and lanes have room", "#/traces", async () => {
  const make = new Maker(41);
  const now = recently();
  await feeder.sendAll(Array.from({ length: 60 }, () => shopTrace(make, now - 300 * make.random())).flat());
  const { trace_id, documents, ids } = measuredTrace(make, now);
  await feeder.sendAll(documents);
  try {
    for (const [width, height, lane] of [[390, 844, 170], [320, 640, 130], [1024, 768, 280]]) {
      await page.setViewportSize({ width, height });
      await page.goto("about:blank");
      await page.goto(`${ORIGIN}/#/traces`);
      await row(trace_id).waitFor();
      await becomes(false, () => overlapping(".list-view"));
      assert.deepEqual(await beyond(), [], `the list at ${width}`);
      await openTrace(trace_id);
      assert.deepEqual(await beyond(), [], `a trace at ${width}`);
      const wide = await page.locator(`.bar-row[data-id="${ids.query}"] .lane`).evaluate((one) => one.clientWidth);
      assert.ok(wide >= lane, `lanes of ${wide} px at ${width}`);
      await page.goto(`${ORIGIN}/#/map`);
      await page.locator(".map-view .map-node", { hasText: "shop-web" }).click();
      await becomes(false, () => overlapping(".map-side"));
      assert.deepEqual(await beyond(), [], `the map at ${width}`);
      for (const hash of ["#/operations", `#/trace/${trace_id}?view=flame`, `#/trace/${trace_id}?view=statistics`]) {
        await page.goto(`${ORIGIN}/${hash}`);
        await page.locator(":is(.operations td, .flame-bar, .statistics td):visible").first().waitFor();
        const found = await beyond();
        // Tables of figures scroll in themselves.
        assert.deepEqual(found.filter((one) => !/^(SECTION.(operations|statistics)|T[A-Z]+|BUTTON.sort|SPAN|A|B)\b/.test(one)), [], `${hash} at ${width}`);
      }
    }
  } finally {
    await page.setViewportSize({ width: 1280, height: 760 });
  }
  await page.goto("about:blank");
  await page.goto(`${ORIGIN}/#/map`);
  await page.locator(".map-view .service-row").first().click();
  await becomes(false, () => overlapping(".map-side"));
});
