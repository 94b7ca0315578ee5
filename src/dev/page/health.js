// @ts-check
// One vocabulary of health for list, timeline, histogram and map. The words are the service's:
// fault = 5xx or an unhandled exception, error = 4xx, throttle = 429.

/** Worst first: the order in which one mark is chosen for something that has several. */
export const ORDER = ["fault", "throttle", "error", "ok"];

/** What has not ended for so many seconds since its last sign of life may never: nobody waits this long for a request. */
export const NEVER_ENDED_AFTER_S = 300;

const WORDS = { fault: "Fault", throttle: "Throttle", error: "Error", ok: "OK", progress: "In progress" };

/** The single word that marks a row, a node or a segment. */
export function healthOf(flags) {
  if (flags.fault === true) return "fault";
  if (flags.throttle === true) return "throttle";
  if (flags.error === true) return "error";
  if (flags.in_progress === true) return "progress";
  return "ok";
}

/** The word for something that has not ended `age_s` seconds after it began. */
export function progressWord(age_s) {
  return age_s >= NEVER_ENDED_AFTER_S ? "Never ended?" : healthWord("progress");
}

/** As shown to people. */
export function healthWord(health) {
  return WORDS[health] ?? health;
}

/** The health a status code stands for; used to colour it. */
export function statusHealth(status) {
  if (!Number.isFinite(status)) return null;
  if (status === 429) return "throttle";
  if (status >= 500) return "fault";
  if (status >= 400) return "error";
  return "ok";
}

/** The requests of a bucket, node or edge by health, worst first, without the empty ones. */
export function shares(counts) {
  return ORDER.map((health) => ({ health, n: Number(counts[health]) || 0 })).filter((share) => share.n > 0);
}

/** How many there are together. */
export function total(counts) {
  return ORDER.reduce((sum, health) => sum + (Number(counts[health]) || 0), 0);
}
