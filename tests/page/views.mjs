// Each view in both themes and at three widths: axe finds nothing in it, and a picture of it is left in target/page.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ORIGIN, becomes, check, feeder, openTrace, page, picture, recently } from "./harness.mjs";
import { Maker, shopTrace } from "./segments.mjs";

const WIDTHS = { "": [1280, 760], "-1024": [1024, 768], "-390": [390, 844] };
const THEMES = { "": "light", "-dark": "dark" };

// Run beside the page, not in it: the page's policy takes no script from elsewhere.
const axe = await readFile(createRequire(join(process.env.PAGE_MODULES, "any.js")).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds: the rule, and where. */
async function findings() {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    const run = (expression) => session.send("Runtime.evaluate", { contextId: executionContextId, expression, awaitPromise: true, returnByValue: true });
    await run(`${axe};0`);
    const { result, exceptionDetails } = await run(
      "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')} ${node.failureSummary.split('\\n')[1]?.trim() ?? ''}`)))",
    );
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  } finally {
    await session.detach();
  }
}

await check("axe finds nothing in any view, in both themes and at three widths", "#/traces", async () => {
  const make = new Maker(21);
  const now = recently();
  const traces = Array.from({ length: 150 }, () => shopTrace(make, now - 600 * make.random()));
  await feeder.sendAll(traces.flat());
  await page.reload();
  await becomes("150 traces", () => page.locator(".list-summary").textContent());
  const failed = traces.find(([root]) => root.fault && root.name === "shop-web")[0].trace_id;
  const checkouts = traces.filter((all) => all.length === 3 && !all[0].fault).slice(0, 2).map(([root]) => root.trace_id);
  const visit = async (hash, selector) => {
    await page.goto(`${ORIGIN}/${hash}`);
    await page.locator(selector).first().waitFor();
  };
  const views = {
    list: async () => {
      await visit("#/traces", ".trace-row");
      await page.locator(".figures-slot > *").first().waitFor();
    },
    waterfall: async () => {
      await openTrace(failed);
      await page.locator(".details-body .exceptions").waitFor();
    },
    flame: () => visit(`#/trace/${failed}?view=flame`, ".flame-bar"),
    statistics: () => visit(`#/trace/${failed}?view=statistics`, ".statistics tr"),
    compare: () => visit(`#/compare/${checkouts.join("/")}`, ".compare .virtual-row"),
    operations: () => visit("#/operations", ".operations tbody tr"),
    "trace-map": () => visit(`#/trace/${failed}?view=map`, ".trace-view .map-node"),
    map: () => visit("#/map", ".map-view .map-node"),
    empty: () => visit('#/traces?filter=user%20%3D%20"nobody"', ".no-match"),
    missing: () => visit("#/trace/1-00000000-000000000000000000000000", ".trace-view .placeholder"),
  };
  const found = [];
  try {
    for (const [theme, scheme] of Object.entries(THEMES)) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [at, [width, height]] of Object.entries(WIDTHS)) {
        await page.setViewportSize({ width, height });
        for (const [name, show] of Object.entries(views)) {
          await page.goto("about:blank");
          await show();
          await picture(`${name}${at}${theme}`);
          found.push(...(await findings()).map((finding) => `${name}${at}${theme}: ${finding}`));
        }
      }
    }
  } finally {
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 760 });
  }
  assert.deepEqual(found, []);
});

await check("axe finds nothing before the first trace, and in the help", "#/traces", async () => {
  await page.locator(".onboarding").waitFor();
  await picture("onboarding");
  assert.deepEqual(await findings(), []);
  await page.keyboard.press("?");
  await page.locator("dialog").waitFor();
  await picture("help");
  assert.deepEqual(await findings(), []);
  await page.keyboard.press("Escape");
});
