// @ts-check
// Numbers and times as people read them. Pure.

const grouped = new Intl.NumberFormat("en");

/** 1234567 as "1,234,567". */
export function count(n) {
  return Number.isFinite(n) ? grouped.format(n) : "–";
}

/** `one` or `many` after its number. */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** 12345 as "12k", for the tight places of the map. */
export function short(n) {
  if (!Number.isFinite(n)) return "–";
  if (n < 10_000) return grouped.format(n);
  if (n < 1_000_000) return `${trim(n / 1000)}k`;
  return `${trim(n / 1_000_000)}M`;
}

/** Seconds as "840 µs", "12.3 ms", "312 ms", "1.24 s", "2 m 03 s". Three digits say enough about a request. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds === 0) return "0 ms";
  if (seconds < 0.0009995) return `${trim(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${trim(seconds * 1e3)} ms`;
  if (seconds < 59.95) return `${trim(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor(whole / 60) % 60)} m`;
}

/** The same without trailing zeros, for axis ticks and bucket bounds: "200 ms", "1.5 s". */
export function tick(seconds) {
  if (seconds === 0) return "0";
  if (Math.abs(seconds) < 0.001) return `${clean(seconds * 1e6)} µs`;
  if (Math.abs(seconds) < 1) return `${clean(seconds * 1e3)} ms`;
  return `${clean(seconds)} s`;
}

/** Seconds as a number of the filter language: no exponent, no floating-point dust. */
export function plain(seconds) {
  return clean(seconds, 7);
}

function clean(n, digits = 4) {
  return n.toFixed(digits).replace(/\.?0+$/, "");
}

function trim(n) {
  if (n >= 99.95) return String(Math.round(n));
  if (n >= 9.995) return n.toFixed(1);
  return n.toFixed(2);
}

function pad(n, width = 2) {
  return String(n).padStart(width, "0");
}

/** To whole milliseconds, the nearest ones, as the terminal does. */
function dateOf(epoch_s) {
  return new Date(Math.floor(epoch_s * 1000 + 0.5));
}

/** "14:03:22.123" in local time. */
export function clock(epoch_s) {
  if (!Number.isFinite(epoch_s)) return "–";
  const date = dateOf(epoch_s);
  if (Number.isNaN(date.getTime())) return "–";
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** "2026-11-21" in local time. */
export function day(epoch_s) {
  const date = dateOf(epoch_s);
  if (Number.isNaN(date.getTime())) return "–";
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** The zone of local time at a moment: "UTC", "UTC+1", "UTC-3:30". */
export function zone(epoch_s) {
  const minutes = -dateOf(epoch_s).getTimezoneOffset();
  if (!Number.isFinite(minutes) || minutes === 0) return "UTC";
  const whole = Math.abs(minutes);
  const rest = whole % 60;
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(whole / 60)}${rest ? `:${pad(rest)}` : ""}`;
}

/** Date, time and zone, for tooltips and details. */
export function moment(epoch_s) {
  return `${day(epoch_s)} ${clock(epoch_s)} ${zone(epoch_s)}`;
}

/** "just now", "3 min ago"; beyond a day the date. */
export function ago(epoch_s, now_s) {
  const age = now_s - epoch_s;
  if (!Number.isFinite(age)) return "";
  if (age < 5) return "just now";
  if (age < 60) return `${Math.floor(age)} s ago`;
  if (age < 3600) return `${Math.floor(age / 60)} min ago`;
  if (age < 86_400) return `${Math.floor(age / 3600)} h ago`;
  return day(epoch_s);
}

/** 1536 as "1.5 kB" (1,024 bytes a kB, like the store's bound). */
export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  if (n < 1024) return `${n} B`;
  const units = ["kB", "MB", "GB"];
  let value = n / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 99.95 ? Math.round(value) : clean(value, 1)} ${units[unit]}`;
}

/** A share as "42 %", "0.3 %"; never "0 %" for something that is there. */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value < 9.95 && value > 0 ? clean(value, 1) : Math.round(value)} %`;
}

/** The first line, cut to `max` characters. */
export function firstLine(text, max = 200) {
  const line = String(text).split("\n", 1)[0];
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}
