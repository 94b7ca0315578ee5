// What a browser shows of the segments that were sent; main.rs starts `xray dev` and says where it is.
//
// One browser and one page for all tests, each of which begins with an empty store. Nothing waits for time to pass,
// only for conditions, within Playwright's limit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ORIGIN, bar, becomes, check, dialogs, end, feeder, filter, listed, live, openTrace, page, recently, requests, row, simple } from "./harness.mjs";
import { MARKUP, Maker, hostileTrace, measuredTrace, shopTrace, wideTrace } from "./segments.mjs";

await check("the list shows traces as they arrive, newest first, without loading the page again", "#/traces", async () => {
  const make = new Maker(1);
  const start = recently();
  await live();
  await page.evaluate(() => (globalThis.sameDocument = true));
  assert.equal(await page.locator(".trace-row").count(), 0);

  const [older, newer] = [simple(make, start, { path: "/older" }), simple(make, start + 1, { path: "/newer", status: 503 })];
  await feeder.send(older);
  await row(older.trace_id).waitFor();
  await feeder.send(newer);
  await becomes([newer.trace_id, older.trace_id], listed);
  assert.equal(await row(newer.trace_id).locator(".path").textContent(), "/newer");
  assert.equal(await row(newer.trace_id).locator(".cell-status").textContent(), "503");
  assert.equal(await row(newer.trace_id).locator(".tag").first().textContent(), "Fault");
  assert.equal(await row(older.trace_id).locator(".cell-duration .number").textContent(), "250 ms");

  const open = simple(make, start + 2, { path: "/open", in_progress: true });
  delete open.end_time;
  delete open.http.response;
  await feeder.send(open);
  await row(open.trace_id).locator(".tag-progress").waitFor();
  await feeder.send({ ...open, end_time: start + 2.5, in_progress: undefined, http: { ...open.http, response: { status: 201 } } });
  await becomes("201", () => row(open.trace_id).locator(".cell-status").textContent());
  assert.equal(await row(open.trace_id).locator(".tag-progress").count(), 0);
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true);
});

await check("the filter decides what is listed, also of what arrives later, and a wrong one says where it is wrong", "#/traces", async () => {
  const make = new Maker(2);
  const start = recently();
  const good = simple(make, start);
  const bad = simple(make, start + 1, { status: 500, annotations: { tier: "gold" } });
  await feeder.sendAll([good, bad]);
  await becomes([bad.trace_id, good.trace_id], listed);

  await filter("fault");
  await becomes([bad.trace_id], listed);
  await live();
  const [later, laterBad] = [simple(make, start + 2), simple(make, start + 3, { status: 502 })];
  await feeder.sendAll([later, laterBad]);
  await becomes([laterBad.trace_id, bad.trace_id], listed);
  await filter('annotation.tier = "gold"');
  await becomes([bad.trace_id], listed);

  await filter("fault AND ((");
  const error = page.locator(".list-view .filter-error");
  await error.waitFor();
  assert.notEqual((await error.locator(".filter-error-message").textContent()).trim(), "");
  assert.equal(await error.locator(".filter-error-place mark").count(), 1);
  assert.equal(await page.locator(".list-view .filter-input").getAttribute("aria-invalid"), "true");
  await filter("");
  await becomes(4, async () => (await listed()).length);
  assert.equal(await error.isVisible(), false);
});

await check("the bars of the waterfall are in the order of the tree and as long as the times say", "#/traces", async () => {
  const { trace_id, documents, order, offsets } = measuredTrace(new Maker(3), recently());
  await feeder.sendAll(documents);
  await row(trace_id).click();
  const measure = () => page.locator(".bar-row").evaluateAll((rows) =>
    rows.map((one) => {
      const box = (selector) => {
        const { left, width, top } = one.querySelector(selector).getBoundingClientRect();
        return { left, width, top };
      };
      return { id: one.dataset.id, level: Number(one.getAttribute("aria-level")), lane: box(".lane"), bar: box(".bar") };
    }),
  );
  // Each document that arrives draws the rows anew, and a row that is being replaced has no size: what is measured is
  // one moment in which all of them are there and laid out.
  let placed = [];
  await becomes(order.length, async () => {
    placed = await measure();
    return placed.filter(({ lane }) => lane.width > 0).length;
  });
  placed.sort((a, b) => a.lane.top - b.lane.top);
  assert.deepEqual(placed.map((one) => one.id), order);
  assert.deepEqual(placed.map((one) => one.level), [1, 2, 2, 3, 4]);
  for (const { id, lane, bar } of placed) {
    assert.ok(lane.width > 300, `a lane of ${lane.width} px`);
    const [from, to] = offsets[id];
    const within = Math.max(2, lane.width / 100);
    const [left, width] = [lane.left + from * lane.width, (to - from) * lane.width];
    assert.ok(Math.abs(bar.left - left) <= within, `${id} begins at ${bar.left} px in place of ${left}`);
    assert.ok(Math.abs(bar.width - width) <= within, `${id} is ${bar.width} px long in place of ${width}`);
  }
});

await check("a trace tells where it failed, and keys move through it", "#/traces", async () => {
  const { trace_id, documents, order, ids } = measuredTrace(new Maker(4), recently());
  await feeder.sendAll(documents);
  await openTrace(trace_id);
  const details = page.locator(".details-body");
  await details.getByText("psycopg.errors.QueryCanceled").first().waitFor();
  await bar(ids.query).click();
  await becomes("SELECT * FROM rows WHERE day = ?", async () => (await details.locator('[data-section="SQL"]').textContent()).match(/SELECT.*\?/)?.[0]);

  const selected = () => page.locator('.bar-row[aria-selected="true"]').evaluateAll((rows) => rows.map((one) => one.dataset.id));
  await page.keyboard.press("Home");
  await becomes([order[0]], selected);
  for (const id of order.slice(1)) {
    await page.keyboard.press("ArrowDown");
    await becomes([id], selected);
  }
  await page.keyboard.press("Escape");
  await row(trace_id).waitFor();
});

await check("a later segment of the trace on the screen shows up in it", "#/traces", async () => {
  const { trace_id, documents, order, ids } = measuredTrace(new Maker(5), recently());
  const late = documents.find((document) => document.id === ids.query);
  await feeder.sendAll(documents.filter((document) => document !== late));
  await openTrace(trace_id);
  await becomes(order.length - 1, () => page.locator(".bar-row").count());
  await live();
  await bar(order[1]).focus();
  await feeder.send(late);
  await bar(late.id).waitFor();
  // All rows have been made anew.
  assert.equal(await page.evaluate(() => document.activeElement.dataset.id), order[1]);
});

await check("times in other units are shown as the times they are, in the list and in the trace", "#/traces", async () => {
  const make = new Maker(12);
  const start = recently();
  for (const [unit, factor] of [["milliseconds", 1e3], ["microseconds", 1e6], ["nanoseconds", 1e9]]) {
    await feeder.clear();
    await page.goto(`${ORIGIN}/#/traces`);
    const call = { id: make.id(), name: "call", start_time: (start + 0.5) * factor, end_time: (start + 1) * factor };
    const sent = simple(make, start, { subsegments: [call] });
    await feeder.sendAll([{ ...sent, start_time: start * factor, end_time: (start + 2) * factor }]);
    const note = `start_time looks like ${unit}`;
    await becomes(note, () => row(sent.trace_id).locator(".line-2 .tag").first().textContent());
    const time = await row(sent.trace_id).locator(".cell-time").textContent();
    assert.equal(await row(sent.trace_id).locator(".cell-duration .number").textContent(), "2.00 s");
    await row(sent.trace_id).click();
    await becomes(note, () => page.locator(".trace-flags .tag").first().textContent());
    assert.ok((await page.locator(".trace-sub").textContent()).includes(time), `${time} in the trace too`);
    assert.equal(await bar(call.id).locator(".bar-label").textContent(), "500 ms");
    // In percent of the lane; a row that is being drawn anew has no size.
    await becomes(25, () =>
      bar(call.id).evaluate((one) => {
        const [lane, drawn] = [".lane", ".bar"].map((selector) => one.querySelector(selector).getBoundingClientRect());
        return Math.round((100 * (drawn.left - lane.left)) / lane.width);
      }),
    );
    await page.keyboard.press("Escape");
  }
});

await check("numbers are shown with all the digits they were sent with", "#/traces", async () => {
  const sent = simple(new Maker(13), recently(), { metadata: { default: { large: "LARGE", fine: "FINE", plain: 1.5 } } });
  const text = JSON.stringify(sent).replace('"LARGE"', "12345678901234567890123").replace('"FINE"', "0.1000000000000000055511");
  await feeder.sendAll([text]);
  await openTrace(sent.trace_id);
  const metadata = page.locator('[data-section="Metadata"]');
  await metadata.waitFor();
  assert.deepEqual(await metadata.locator(".json-number").allTextContents(), ["12345678901234567890123", "0.1000000000000000055511", "1.5"]);
  await page.locator('[data-section="Raw JSON"] > summary').click();
  assert.ok((await page.locator(".raw").textContent()).includes('"large": 12345678901234567890123'));
});

await check("what was refused and what SDKs left out is said", "#/traces", async () => {
  await live();
  const before = (await feeder.stats()).refused.count;
  await feeder.send({ ...simple(new Maker(14), recently()), name: `shop?${MARKUP}` });
  await feeder.report({ RuleName: "Default", ClientID: "a".repeat(24), Timestamp: recently(), RequestCount: 40, SampledCount: 5 });
  await becomes(before + 1, async () => (await feeder.stats()).refused.count);
  await page.reload();
  await page.locator("#refused").click();
  const latest = await page.locator(".refused-list li").first().textContent();
  assert.ok(latest.includes("InvalidName") && latest.includes("'?' at character 5"), latest);
  await page.keyboard.press("Escape");
  await becomes("5 of 40 sampled", () => page.locator("#sampled").textContent());
  assert.equal(await page.locator("#sampled").getAttribute("title"), "SDKs saw 40 requests and sent 5: rule Default");
});

await check("the map has a node per service and an edge per call between them", "#/map", async () => {
  const { documents } = measuredTrace(new Maker(6), recently());
  await feeder.sendAll(documents);
  const names = () => page.locator(".map-view .map-node").evaluateAll((nodes) => nodes.map((node) => node.querySelector("title").textContent.split(",")[0]).sort());
  const edges = () =>
    page.locator(".map-view .map-edge").evaluateAll((all) => {
      const name = (id) => [...document.querySelectorAll(".map-view .map-node")].find((node) => node.dataset.id === id)?.querySelector("title").textContent.split(",")[0];
      return all.map((edge) => `${name(edge.dataset.source)} > ${name(edge.dataset.target)}`).sort();
    });
  await becomes(["Clients", "measured-api", "measured-web", "rows@db"], names);
  await becomes(["Clients > measured-web", "measured-api > rows@db", "measured-web > measured-api"], edges);
  const at = await page.locator(".map-view .map-node").evaluateAll((nodes) => Object.fromEntries(nodes.map((node) => [node.querySelector("title").textContent.split(",")[0], node.getBoundingClientRect().left])));
  assert.ok(at.Clients < at["measured-web"] && at["measured-web"] < at["measured-api"] && at["measured-api"] < at["rows@db"], JSON.stringify(at));
  assert.equal(await page.locator(".map-view .map-edge.edge-fault").count(), 3);

  await page.locator(".map-view .map-node", { hasText: "measured-api" }).click();
  await becomes("measured-api", () => page.locator(".map-view .side-name").textContent());
});

await check("markup in segments stays text wherever it is shown", "#/traces", async () => {
  // Segments with such a name are refused, so names get theirs on the way to the page.
  await page.route(/\/-\/(trace|graph)/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: JSON.stringify(renamed(await answer.json())) });
  });
  const { trace_id, documents } = hostileTrace(new Maker(7), recently());
  await feeder.sendAll(documents);
  await page.reload();
  await row(trace_id).waitFor();
  await inert("the list");
  assert.ok((await row(trace_id).textContent()).includes(MARKUP));

  await row(trace_id).click();
  for (const id of [documents[0].id, ...documents[0].subsegments.map((one) => one.id)]) {
    await bar(id).click();
    await bar(id).hover();
    const sections = page.locator(".details-body details:not([open]) > summary");
    while ((await sections.count()) > 0) await sections.first().click();
    assert.ok((await page.locator(".details-body").textContent()).includes(MARKUP));
    await inert(`the segment ${id}`);
  }
  for (const section of ["Request", "Annotations", "Metadata", "AWS", "Exception", "Service", "Raw JSON"]) {
    await bar(documents[0].id).click();
    const text = await page.locator(`[data-section="${section}"]`).textContent();
    assert.ok(text.includes("<img src=x"), `${section}: ${text}`);
  }
  await page.goto(`${ORIGIN}/#/map`);
  await page.locator(".map-view .map-node", { hasText: "<img" }).first().click();
  await becomes(true, async () => (await page.locator(".map-view .side-name").textContent()).startsWith("<img src=x"));
  await inert("the map");
  await page.locator(".map-view .filter-input").fill("service(");
  await inert("suggestions");
  await page.unroute(/\/-\/(trace|graph)/);

  async function inert(where) {
    const found = await page.evaluate(() => ({
      images: document.querySelectorAll('img:not(.brand img), [onerror], b[onclick], iframe, object').length,
      scripts: document.querySelectorAll("body script").length,
      links: [...document.querySelectorAll("[href]")].filter((one) => /^\s*javascript:/i.test(one.getAttribute("href"))).length,
      ran: globalThis.pwned ?? null,
    }));
    assert.deepEqual({ ...found, dialogs }, { images: 0, scripts: 0, links: 0, ran: null, dialogs: [] }, where);
  }

  function renamed(value) {
    if (value === "hostile" || value === "query" || value === "call") return MARKUP;
    if (Array.isArray(value)) return value.map(renamed);
    if (value === null || typeof value !== "object") return value;
    const pairs = Object.entries(value).map(([key, inner]) => [key, key === "document" ? JSON.stringify(renamed(JSON.parse(inner))) : renamed(inner)]);
    return Object.fromEntries(pairs);
  }
});

await check("the content security policy stops what would get past that", "#/traces", async () => {
  await live();
  const stopped = await page.evaluate(async () => {
    globalThis.violations = new Set();
    document.addEventListener("securitypolicyviolation", (event) => violations.add(event.effectiveDirective));
    const insert = () => (document.createElement("div").innerHTML = "<b>bold</b>");
    let markup = "taken";
    try {
      insert();
    } catch (error) {
      markup = error.name;
    }
    const script = document.createElement("script");
    script.append("globalThis.pwned = 1");
    document.body.append(script);
    script.remove();
    const foreign = await fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused");
    return { markup, foreign, pwned: globalThis.pwned ?? null };
  });
  assert.deepEqual(stopped, { markup: "TypeError", foreign: "refused", pwned: null });
  await becomes(["connect-src", "require-trusted-types-for"], () => page.evaluate(() => [...violations].filter((one) => !one.startsWith("script")).sort()));
});

await check("keys reach the filter, move through the list, open a trace and come back", "#/traces", async () => {
  const make = new Maker(8);
  const start = recently();
  const all = [0, 1, 2, 3].map((n) => simple(make, start - n, { path: `/${n}` }));
  await feeder.sendAll(all);
  await becomes(all.map((one) => one.trace_id), listed);
  const focused = () => page.evaluate(() => document.activeElement?.dataset.id ?? document.activeElement?.className);

  await page.keyboard.press("/");
  await becomes("filter-input", focused);
  await page.keyboard.type("/t");
  assert.equal(await page.locator(".list-view .filter-input").inputValue(), "/t", "in the box, keys are text");
  await page.locator(".list-view .filter-input").fill("");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await becomes(all[0].trace_id, focused);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await becomes(all[2].trace_id, focused);
  await page.keyboard.press("ArrowUp");
  await becomes(all[1].trace_id, focused);
  await page.keyboard.press("Enter");
  await becomes(all[1].id, focused);
  assert.ok(page.url().includes(all[1].trace_id), page.url());
  await page.keyboard.press("Escape");
  await becomes(all[1].trace_id, focused);
  await page.keyboard.press("m");
  await page.locator(".map-view .map-node").first().waitFor();
  await page.keyboard.press("l");
  await row(all[0].trace_id).waitFor();
});

await check("a trace of 1,000 segments keeps the document small", "#/traces", async () => {
  const { trace_id, documents, count, last } = wideTrace(new Maker(9), recently(), 1000);
  assert.ok(count >= 980, String(count));
  await feeder.sendAll(documents);
  await openTrace(trace_id);
  const rows = () => page.locator(".bar-row").count();
  const facts = page.locator(".trace-head .facts");
  await becomes(true, async () => (await facts.textContent()).includes(`Segments1Subsegments${count - 1}`));
  assert.ok((await rows()) >= 10 && (await rows()) <= 80, `${await rows()} rows`);
  await page.locator(".bar-row").first().click();
  await page.keyboard.press("End");
  await bar(last).waitFor();
  assert.ok((await rows()) <= 80, `${await rows()} rows at the end`);
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(elements < 4000, `${elements} elements`);
  // The last group is from 190 to 200 ms; its bar is where that is, so scrolled rows are placed like the first ones.
  const [lane, drawn] = [await bar(last).locator(".lane").boundingBox(), await bar(last).locator(".bar").boundingBox()];
  assert.ok((drawn.x - lane.x) / lane.width > 0.98, `${drawn.x} in a lane from ${lane.x}, ${lane.width} wide`);
});

await check("3,000 traces can be scrolled to the oldest and the document stays small", "#/traces", async () => {
  const make = new Maker(10);
  const start = recently();
  const all = Array.from({ length: 3000 }, (_, n) => simple(make, start - n / 10, { path: `/${n}` }));
  await feeder.sendAll(all);
  await page.reload();
  const known = () => page.locator(".trace-row").first().getAttribute("aria-setsize").then(Number);
  await becomes("200 of 3,000 traces", () => page.locator(".list-summary").textContent());
  await page.locator(".trace-row").first().focus();
  for (let rows = await known(); rows < all.length; ) {
    await page.keyboard.press("End");
    const before = rows;
    await page.waitForFunction((n) => Number(document.querySelector(".trace-row")?.getAttribute("aria-setsize")) > n, before);
    rows = await known();
    assert.ok((await page.locator(".trace-row").count()) <= 60, "rows in the document");
  }
  await page.keyboard.press("End");
  await row(all.at(-1).trace_id).waitFor();
  await becomes("3,000 traces", () => page.locator(".list-summary").textContent());
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(elements < 4000, `${elements} elements`);
});

await check("the page is light or dark as the system is, until the reader chooses, and can be read in both", "#/traces", async () => {
  const make = new Maker(11);
  await feeder.sendAll([simple(make, recently(), { status: 500 })]);
  await page.locator(".trace-row").waitFor();
  const look = () =>
    page.evaluate(() => {
      const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((part) => channel(Number(part) / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
          const { backgroundColor } = getComputedStyle(at);
          if (!/, 0\)$|transparent/.test(backgroundColor)) return luminance(backgroundColor);
        }
        return 1;
      };
      const contrast = (selector) => {
        const element = document.querySelector(selector);
        const [a, b] = [luminance(getComputedStyle(element).color), behind(element)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
      };
      const selectors = [".trace-row .path", ".trace-row .cell-time", ".trace-row .tag", ".trace-row .cell-status", ".table-head span", ".list-summary"];
      return { dark: behind(document.body) < 0.2, faint: selectors.filter((one) => contrast(one) < 4.5).map((one) => `${one} ${contrast(one).toFixed(2)}`) };
    });
  await becomes({ dark: false, faint: [] }, look);
  await page.emulateMedia({ colorScheme: "dark" });
  await becomes({ dark: true, faint: [] }, look);
  await page.keyboard.press("t"); // from "as the system" to light
  await becomes({ dark: false, faint: [] }, look);
  await page.reload();
  await page.locator(".trace-row").waitFor();
  await becomes({ dark: false, faint: [] }, look);
  await page.evaluate(() => localStorage.clear());
  await page.emulateMedia({ colorScheme: "light" });
});

for (const part of ["list", "timeline", "map", "narrow", "operations", "views", "found", "told"]) await import(`./${part}.mjs`);

await check("a page that was open before the server was started anew takes the new one's key", "#/traces", async () => {
  await page.route(`${ORIGIN}/`, async (route) => {
    if (route.request().resourceType() !== "document") return route.continue();
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/name="xray-key" content="\w+"/, 'name="xray-key" content="0123"');
    return route.fulfill({ response: answer, body });
  });
  try {
    await page.reload();
    assert.equal(await page.locator('meta[name="xray-key"]').getAttribute("content"), "0123");
    await live();
    const [root] = shopTrace(new Maker(22), recently());
    await feeder.sendAll([root]);
    await row(root.trace_id).waitFor();
  } finally {
    await page.unroute(`${ORIGIN}/`);
  }
});

await test("no request of any test left the page's origin", () => {
  assert.ok(requests.length > 50, `${requests.length} requests seen`);
  // The one that the policy stopped is reported, but never sent.
  const elsewhere = requests.filter((url) => !url.startsWith(`${ORIGIN}/`) && !/^(about|data):/.test(url) && url !== "http://127.0.0.1:9/");
  assert.deepEqual(elsewhere, []);
});

await end();
