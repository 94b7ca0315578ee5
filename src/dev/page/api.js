// @ts-check
// The requests of the page. Same origin only.

/** A filter expression the server did not take: `message`, and `position` in characters or null. */
export class FilterError extends Error {
  /** @param {string} message @param {number | null} position */
  constructor(message, position) {
    super(message);
    this.position = position;
  }
}

/** Any other answer that is not the one asked for; `status` is 0 when there was no answer. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// What only this page has: the server tells nothing to who does not. A server that was started anew has another one.
let key = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="xray-key"]')).content;

async function send(path, options) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw error;
    throw new ApiError("xray dev does not answer", 0);
  }
}

/** Takes the key of the server that runs now. */
async function renewKey(signal) {
  const page = await send("/", { signal });
  const found = page.ok && /<meta name="xray-key" content="([0-9a-f]+)">/.exec(await page.text());
  if (found) key = found[1];
}

/** `path` as the server answers it. */
export function withKey(path) {
  return `${path}${path.includes("?") ? "&" : "?"}key=${key}`;
}

async function request(path, params, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  const asked = text ? `${path}?${text}` : path;
  const used = key;
  let response = await send(withKey(asked), options);
  if (response.status === 403) {
    await renewKey(options.signal);
    if (key !== used) response = await send(withKey(asked), options);
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const body = await response.json().catch(() => ({}));
  const message = typeof body.message === "string" ? body.message : `answered with status ${response.status}`;
  if (response.status === 400 && params.filter) {
    throw new FilterError(message, Number.isInteger(body.position) ? body.position : null);
  }
  throw new ApiError(message, response.status);
}

/**
 * Which traces: by filter, by the time they started (seconds since 1970), by what a service did in them.
 * @typedef {{ filter?: string, start?: number | null, end?: number | null, service?: string, operation?: string }} Selection
 */

/**
 * One page of summaries: newest first with `before`, the `next` of the last page; in another order with `sort` and that as
 * `offset`.
 * @param {Selection & { limit?: number, before?: string | null, sort?: string, offset?: string | null }} asked
 * @param {AbortSignal} [signal]
 */
export function traces(asked, signal) {
  return request("/-/traces", asked, { signal });
}

/**
 * What services are asked for: {operations, more}.
 * @param {Selection} asked
 * @param {AbortSignal} [signal]
 */
export function operations(asked, signal) {
  return request("/-/operations", asked, { signal });
}

/** Clears every trace; `undoClear` brings them back for ten seconds. */
export function clear() {
  return request("/-/traces", {}, { method: "DELETE" });
}

/**
 * Takes the traces in a file.
 * @param {Blob} file
 * @returns {Promise<{ documents: number, traces: string[], wrong: number, examples: string[] }>}
 */
export function open(file) {
  return request("/-/traces", {}, { method: "POST", body: file });
}

/** Brings back what was cleared less than ten seconds ago. */
export function undoClear() {
  return request("/-/traces/undo", {}, { method: "POST" });
}

/**
 * All documents of one trace.
 * @param {string} id
 * @param {AbortSignal} [signal]
 */
export function trace(id, signal) {
  return request(`/-/trace/${encodeURIComponent(id)}`, {}, { signal });
}

/**
 * Response times of the matching traces: counts, percentiles, buckets.
 * @param {Selection} asked
 * @param {AbortSignal} [signal]
 */
export function latency(asked, signal) {
  return request("/-/latency", asked, { signal });
}

/**
 * Services and the calls between them.
 * @param {{ filter?: string, start?: number | null, end?: number | null, trace?: string }} asked
 * @param {AbortSignal} [signal]
 */
export function graph({ filter, start, end, trace: id }, signal) {
  return request("/-/graph", { filter, start, end, trace: id }, { signal });
}

/**
 * The state of the daemon and its store.
 * @param {AbortSignal} [signal]
 */
export function stats(signal) {
  return request("/-/stats", {}, { signal });
}

/**
 * Where the event stream is, but for the key; `trace` narrows it to one trace.
 * @param {Selection & { trace?: string }} asked
 */
export function eventsUrl(asked) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) if (value) query.set(name, String(value));
  const text = query.toString();
  return text ? `/-/events?${text}` : "/-/events";
}
