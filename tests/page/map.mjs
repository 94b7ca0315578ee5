// Large service maps: all of it is shown, names can be read, a service is found.

import assert from "node:assert/strict";
import { becomes, check, feeder, page, recently } from "./harness.mjs";
import { Maker, fleet } from "./segments.mjs";

const nodes = () => page.locator(".map-view .map-node");

await check("a map of 80 services shows all of them, names that do not lie on each other, and any that is looked for", "#/map", async () => {
  await feeder.sendAll(fleet(new Maker(61), recently(), 80));
  await becomes(81, () => nodes().count()); // and the clients
  await page.getByRole("button", { name: "See all" }).click();
  const shown = () =>
    page.evaluate(() => {
      const stage = document.querySelector(".map-view .map-stage").getBoundingClientRect();
      const inside = ({ left, right, top, bottom }) => left >= stage.left - 1 && right <= stage.right + 1 && top >= stage.top - 1 && bottom <= stage.bottom + 1;
      const boxes = (selector) => [...document.querySelectorAll(`.map-view ${selector}`)].map((one) => one.getBoundingClientRect());
      const names = boxes(".node-name");
      const over = names.filter((a, at) => names.some((b, other) => other < at && a.left < b.right - 2 && b.left < a.right - 2 && a.top < b.bottom - 2 && b.top < a.bottom - 2));
      return { outside: boxes(".node-disc").filter((box) => !inside(box)).length, names: names.length, small: names.filter(({ height }) => height < 11).length, over: over.length };
    });
  await becomes({ outside: 0, small: 0, over: 0 }, async () => {
    const { names, ...rest } = await shown();
    return names >= 15 ? rest : `${names} names`;
  });
  assert.equal(await page.locator(".map-view .edge-label").count(), 0);

  await page.keyboard.press("f");
  await page.keyboard.type("fleet-77");
  await becomes(["fleet-77"], () => page.locator(".map-view .service-name b").allTextContents());
  await page.keyboard.press("Enter");
  await becomes("fleet-77", () => page.locator(".map-view .side-name").textContent());
  const found = page.locator('.map-view .map-node[aria-selected="true"]');
  const box = await found.locator(".node-disc").boundingBox();
  const stage = await page.locator(".map-view .map-stage").boundingBox();
  assert.ok(box.x > stage.x && box.x < stage.x + stage.width && box.width > 20, JSON.stringify(box));
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-selected")), "true");
  // What it calls and who calls it is named and worded, the rest steps back.
  assert.ok((await page.locator(".map-view .edge-label").count()) >= 1);
  assert.ok((await page.locator(".map-view .map-node.is-far").count()) >= 60);
});
