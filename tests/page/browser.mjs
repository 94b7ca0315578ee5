// Debian's Chromium, driven by playwright-core; nothing of it may reach the network.

import { createRequire } from "node:module";
import { join } from "node:path";

// Installed under target/, where an import of this file would not look.
const { chromium } = createRequire(join(process.env.PAGE_MODULES, "any.js"))("playwright-core");

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--font-render-hinting=none",
];

/** A headless browser with the fresh profile directory that the caller made. */
export function openBrowser(profile) {
  return chromium.launchPersistentContext(profile, {
    executablePath: process.env.PAGE_CHROMIUM,
    headless: true,
    // Pictures show the page as people see it.
    ignoreDefaultArgs: ["--hide-scrollbars"],
    args: ARGUMENTS,
    viewport: { width: 1280, height: 760 },
    locale: "en-GB",
    timezoneId: "UTC",
    colorScheme: "light",
    reducedMotion: "reduce",
  });
}
