// @ts-check
// The summaries the list knows, newest first. Pure.

/** More than the store of a default `xray dev` holds; beyond it the oldest go. */
const MAX_ROWS = 20_000;

/** A summary with every field of the type the page counts on, or null without an id. */
export function normalise(raw) {
  if (raw === null || typeof raw !== "object" || typeof raw.id !== "string") return null;
  const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});
  const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  const text = (value) => (typeof value === "string" && value !== "" ? value : null);
  return {
    id: raw.id,
    start: number(raw.start) ?? 0,
    duration_s: number(raw.duration_s),
    response_time_s: number(raw.response_time_s),
    name: text(raw.name) ?? "(no name)",
    method: text(raw.method),
    url: text(raw.url),
    status: number(raw.status),
    services: Array.isArray(raw.services) ? raw.services.filter((name) => typeof name === "string") : [],
    segments: number(raw.segments) ?? 0,
    subsegments: number(raw.subsegments) ?? 0,
    fault: raw.fault === true,
    error: raw.error === true,
    throttle: raw.throttle === true,
    in_progress: raw.in_progress === true,
    note: text(raw.note),
    user: text(raw.user),
    annotations: object(raw.annotations),
  };
}

/** Newest first; the id settles equal times, as it does in the server's cursor. */
export function newestFirst(a, b) {
  return b.start - a.start || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** How long a row took, as the list shows it. */
export function secondsOf(row) {
  return row.response_time_s ?? row.duration_s ?? 0;
}

/** The orders of the list, as the server has them. */
export const ORDERS = {
  start: newestFirst,
  duration: (a, b) => secondsOf(b) - secondsOf(a) || newestFirst(a, b),
  segments: (a, b) => b.segments + b.subsegments - a.segments - a.subsegments || newestFirst(a, b),
};

export class RowStore {
  #order = newestFirst;
  /** @type {any[]} */
  #rows = [];
  #byId = new Map();

  /** Compares two rows as they stand in the list. */
  set order(compare) {
    this.#order = compare;
  }

  get rows() {
    return this.#rows;
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** Forgets what was there. */
  replaceAll(rows) {
    this.#byId = new Map(rows.map((row) => [row.id, row]));
    this.#rebuild();
  }

  /** Adds new rows and replaces those with a known id; returns the ids that were new. */
  upsert(rows) {
    const added = [];
    for (const row of rows) {
      if (!this.#byId.has(row.id)) added.push(row.id);
      this.#byId.set(row.id, row);
    }
    this.#rebuild();
    return added;
  }

  remove(ids) {
    let removed = 0;
    for (const id of ids) if (this.#byId.delete(id)) removed += 1;
    if (removed > 0) this.#rebuild();
    return removed;
  }

  /**
   * Takes the first page of a fresh reading: `more` says that older ones follow. Rows that should have been on it and
   * are not are gone; when nothing on it is known there may be a gap, so all is forgotten. Returns the new ids, and
   * whether the rows below the page are still those of before.
   */
  merge(page, more) {
    const known = page.filter((row) => this.#byId.has(row.id)).length;
    if (this.#rows.length === 0 || (known === 0 && more)) {
      this.replaceAll(page);
      return { added: page.map((row) => row.id), continuous: false };
    }
    const ids = new Set(page.map((row) => row.id));
    const last = page.at(-1);
    const onPage = (row) => !more || newestFirst(row, last) <= 0;
    this.remove(this.#rows.filter((row) => onPage(row) && !ids.has(row.id)).map((row) => row.id));
    return { added: this.upsert(page), continuous: true };
  }

  #rebuild() {
    this.#rows = [...this.#byId.values()].sort(this.#order);
    for (const row of this.#rows.splice(MAX_ROWS)) this.#byId.delete(row.id);
  }
}
