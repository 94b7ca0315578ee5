// @ts-check
// Times as seconds since 1970, also those that were sent in another unit. Pure.
//
// X-Ray's times are seconds. What is sent in milli-, micro- or nanoseconds is, as seconds, tens of thousands of years
// from now: no clock means that, so it is read in the unit in which it is a time. The list's times are read so too, by
// the server.

/** From here on a number is no time in seconds: the year 5138. As milliseconds it is March 1973. */
const BEYOND_CLOCKS_S = 1e11;

const UNITS = [
  { name: "milliseconds", in_a_second: 1e3 },
  { name: "microseconds", in_a_second: 1e6 },
  { name: "nanoseconds", in_a_second: 1e9 },
];

/** The unit of a number that is no time in seconds, or null: {name, in_a_second}. */
export function unitOf(time) {
  if (time === null || time < BEYOND_CLOCKS_S) return null;
  return UNITS.find(({ in_a_second }) => time < BEYOND_CLOCKS_S * in_a_second) ?? UNITS.at(-1);
}

/** A time, or null, in seconds, whatever unit it was sent in. */
export function secondsOf(time) {
  return time === null ? null : time / (unitOf(time)?.in_a_second ?? 1);
}

/** What is odd about a start, for people, or null. */
export function noteOf(unit) {
  return unit && `start_time looks like ${unit.name}`;
}

/** The larger of two units, either of which may be null. */
export function furtherUnit(a, b) {
  if (a === null || b === null) return a ?? b;
  return a.in_a_second > b.in_a_second ? a : b;
}
