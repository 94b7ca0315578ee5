// @ts-check
// The part of a trace's time that is in sight, and the ticks of its axis. Pure.

/** @typedef {[number, number]} Window from and to, in seconds since 1970 */

/** Never zoom in further than this many seconds. */
const NARROWEST_S = 1e-6;

/**
 * A window [from, to] inside [start, end], as wide as it was asked for where that is possible.
 * @returns {Window}
 */
export function clampWindow(from, to, start, end) {
  const all = Math.max(end - start, NARROWEST_S);
  const width = Math.min(all, Math.max(NARROWEST_S, all / 5000, to - from));
  const left = Math.min(Math.max(from, start), start + all - width);
  return [left, left + width];
}

/**
 * The window zoomed by `factor` (below 1 is closer) around a moment that stays where it is.
 * @param {Window} window
 */
export function zoomWindow([from, to], factor, around, start, end) {
  const left = around - (around - from) * factor;
  return clampWindow(left, left + (to - from) * factor, start, end);
}

/**
 * The window moved by a share of its width.
 * @param {Window} window
 */
export function panWindow([from, to], share, start, end) {
  const by = (to - from) * share;
  return clampWindow(from + by, to + by, start, end);
}

/**
 * Ticks at round numbers of seconds since `start`: [{at (share of the window), offset}]. About `wanted` of them.
 * @param {Window} window
 */
export function ticks([from, to], start, wanted = 6) {
  const width = to - from;
  const rough = width / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((candidate) => candidate >= rough * 0.999) ?? 10 * power;
  const found = [];
  for (let n = Math.ceil((from - start) / step - 1e-9); n * step <= to - start + step * 1e-9; n += 1) {
    found.push({ at: (n * step - (from - start)) / width, offset: n * step });
  }
  return found;
}

/**
 * Where from..to lies in the window as {left, width} in shares, cut a little outside it; null when out of sight.
 * @param {Window} window
 */
export function place(from, to, window) {
  const [a, b] = window;
  const width = b - a;
  if (to < a || from > b) return null;
  const left = Math.max(-0.02, (from - a) / width);
  const right = Math.min(1.02, (to - a) / width);
  return { left, width: Math.max(0, right - left) };
}
