// @ts-check
// Line icons on a 16 by 16 grid, drawn for this page. All are decoration: the text or label beside them says it too.

import { el } from "./dom.js";

const PATHS = {
  chevron: "M6 4l4 4-4 4",
  back: "M10 3L5 8l5 5",
  search: "M7 12A5 5 0 107 2a5 5 0 000 10zM11 11l3.5 3.5",
  play: "M5 3l8 5-8 5z",
  pause: "M5 3v10M11 3v10",
  sun: "M8 11a3 3 0 100-6 3 3 0 000 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.5 9.5A6 6 0 016.5 2.5a6 6 0 107 7z",
  auto: "M8 14A6 6 0 108 2a6 6 0 000 12zM8 2v12M10 4v8M12 6v4",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "M3 8.5l3.5 3.5L13 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  help: "M6 6a2 2 0 113 1.7c-.7.4-1 .8-1 1.6M8 12v.2",
  warning: "M8 2.5l6 11H2zM8 6.5V10M8 11.8v.2",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.5 9h6l.5-9M7 7v4M9 7v4",
  server: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1",
  code: "M5.5 4L2 8l3.5 4M10.5 4L14 8l-3.5 4",
  globe: "M8 14A6 6 0 108 2a6 6 0 000 12zM2 8h12M8 2c2 2 2.5 4 2.5 6S10 12 8 14M8 2C6 4 5.5 6 5.5 8S6 12 8 14",
  cloud: "M4.5 12.5a2.8 2.8 0 01-.3-5.6 4 4 0 017.6-.9 3.3 3.3 0 01-.1 6.5z",
  database: "M3 4c0-1 2.2-1.8 5-1.8S13 3 13 4s-2.2 1.8-5 1.8S3 5 3 4zM3 4v8c0 1 2.2 1.8 5 1.8s5-.8 5-1.8V4M3 8c0 1 2.2 1.8 5 1.8S13 9 13 8",
  user: "M8 8a2.8 2.8 0 100-5.6A2.8 2.8 0 008 8zM2.8 14c.4-2.8 2.5-4.3 5.2-4.3s4.8 1.5 5.2 4.3",
  clock: "M8 14A6 6 0 108 2a6 6 0 000 12zM8 4.5V8l2.5 1.5",
  repeat: "M3 7a4.5 4.5 0 018-2.5L13 6.5M13 3v3.5H9.5M13 9a4.5 4.5 0 01-8 2.5L3 9.5M3 13V9.5h3.5",
};

/** An icon by name; `size` in CSS pixels. */
export function icon(name, size = 16) {
  return el(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    el("path", { d: PATHS[name] }),
  );
}
