// What the tests of the page share: one browser with one page, the daemon behind it, and ways to look at both.
//
// Nothing waits for time to pass, only for conditions, within Playwright's limit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { openBrowser } from "./browser.mjs";
import { Feeder } from "./feed.mjs";

const { PAGE_URL, PAGE_UDP, PAGE_PROFILE, PAGE_SCREENSHOTS, PAGE_LIFELINE } = process.env;
export const ORIGIN = new URL(PAGE_URL).origin;
/** For one condition, on a machine that does something else as well. */
export const PATIENCE_MS = 20_000;
/** For everything; a run takes a fraction of it. */
const ALL_MS = 600_000;

if (PAGE_LIFELINE === "stdin") process.stdin.on("end", () => process.exit(1)).resume();
const watchdog = setTimeout(() => {
  console.error(`not done after ${ALL_MS} ms`);
  process.exit(1);
}, ALL_MS);

export const feeder = new Feeder(ORIGIN, PAGE_UDP);
export const browser = await openBrowser(PAGE_PROFILE);
export const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(PATIENCE_MS);

export const requests = [];
export const dialogs = [];
export const errors = [];
browser.on("request", (request) => requests.push(request.url()));
page.on("websocket", (socket) => requests.push(socket.url()));
page.on("dialog", (dialog) => {
  dialogs.push(dialog.message());
  dialog.dismiss();
});
page.on("pageerror", (error) => errors.push(String(error)));
page.on("requestfailed", (request) => request.url().includes("/assets/") && errors.push(`${request.url()}: ${request.failure()?.errorText}`));

/** A test with an empty store and the page at `hash`; leaves a picture when it fails. */
export function check(name, hash, body) {
  return test(name, async () => {
    await feeder.clear();
    errors.length = 0;
    try {
      await page.goto("about:blank");
      await page.goto(`${ORIGIN}/${hash}`);
      await body();
      assert.deepEqual(errors, [], "errors in the page");
    } catch (error) {
      await page.screenshot({ path: join(PAGE_SCREENSHOTS, `failed-${name.replaceAll(/\W+/g, "-")}.png`) }).catch(() => {});
      if (errors.length > 0) console.error(`errors in the page: ${errors.join("\n")}`);
      throw error;
    }
  });
}

export const row = (id) => page.locator(`.trace-row[data-id="${id}"]`);
export const bar = (id) => page.locator(`.bar-row[data-id="${id}"]`);
export const live = () => page.locator("#live-state.is-live").waitFor();
/** A picture in which nothing is under the pointer. */
export async function picture(name) {
  await page.mouse.move(1, 1);
  await page.screenshot({ path: join(PAGE_SCREENSHOTS, `${name}.png`), animations: "disabled" });
}
/** Whole seconds a moment ago, so that sums of offsets stay exact. */
export const recently = () => Math.floor(Date.now() / 1000) - 20;

export async function openTrace(trace_id) {
  await page.goto(`${ORIGIN}/#/trace/${trace_id}`);
  await page.locator(".bar-row").first().waitFor();
}

export async function filter(expression) {
  await page.locator(".list-view .filter-input").fill(expression);
  await page.keyboard.press("Enter");
}

/** Waits until `read(page)` gives `expected`; says what it gave last when it does not. */
export async function becomes(expected, read) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await read();
    try {
      assert.deepEqual(found, expected);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

export const listed = () => page.locator(".trace-row").evaluateAll((rows) => rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((one) => one.dataset.id));

/** A finished trace of one segment. */
export function simple(make, start, { status = 200, path = "/", ...extra } = {}) {
  const trace_id = make.traceId(start);
  const flags = { fault: status >= 500, error: status >= 400 && status < 500 };
  const http = { request: { method: "GET", url: `https://simple.example.com${path}` }, response: { status } };
  return { name: "simple", id: make.id(), trace_id, start_time: start, end_time: start + 0.25, http, ...flags, ...extra };
}

/** Ends everything. */
export async function end() {
  clearTimeout(watchdog);
  feeder.close();
  await browser.close();
  process.stdin.destroy();
}
