// @ts-check
// The live connection: server-sent events, and polling while they do not come.
//
// Nothing is assumed about what happened while there was no connection: every (re)connection asks the view to read
// its data again, so a restart of the daemon or a laptop that slept needs no further care.

import { withKey } from "./api.js";

const POLL_EVERY_MS = 2000;
const RETRY_AFTER_MS = 5000;

/** @typedef {{ sync(): Promise<void>, onTrace(row: any): void, onGone(ids: string[]): void, onReset(): void }} View */

export class Live {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {any} a timer, or 0 */
  #poll = 0;
  /** @type {any} a timer, or 0 */
  #retry = 0;
  /** @type {string | null} */
  #url = null;
  /** @type {View | null} */
  #view = null;
  #onState;
  #state = "off";

  /** `onState` hears "connecting", "live", "polling" or "offline". */
  constructor(onState) {
    this.#onState = onState;
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  get state() {
    return this.#state;
  }

  /** `view`: onTrace(row), onGone(ids), onReset(), and sync(), which reads anew and throws when there is no answer. */
  connect(url, view) {
    if (url === this.#url && view === this.#view && this.#source) return;
    this.#disconnect();
    this.#url = url;
    this.#view = view;
    this.#set("connecting");
    // A hidden tab keeps no connection: browsers allow six per origin, so idle tabs would starve the one in use.
    if (document.visibilityState === "visible") this.#open();
  }

  /** Ends the connection: the view has nothing to listen to. */
  disconnect() {
    this.#disconnect();
    this.#url = null;
    this.#view = null;
    this.#set("off");
  }

  #set(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }

  #open() {
    const source = new EventSource(withKey(this.#url));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#stopPolling();
      this.#set("live");
      this.#sync();
    });
    source.addEventListener("error", () => {
      if (source !== this.#source) return;
      this.#startPolling();
      // CONNECTING means that the browser tries again by itself; CLOSED that it has given up.
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => this.#reopen(), RETRY_AFTER_MS);
      }
    });
    this.#listen(source, "trace", (data) => this.#view?.onTrace(data));
    this.#listen(source, "gone", (data) => this.#view?.onGone(Array.isArray(data.ids) ? data.ids : []));
    this.#listen(source, "reset", () => this.#view?.onReset());
  }

  #listen(source, type, handle) {
    source.addEventListener(type, (event) => {
      if (source !== this.#source) return;
      let data;
      try {
        data = JSON.parse(event.data);
      } catch {
        return; // a broken event is made good by the next reading
      }
      if (data !== null && typeof data === "object") handle(data);
    });
  }

  #reopen() {
    this.#source?.close();
    this.#open();
  }

  async #sync() {
    const view = this.#view;
    try {
      await view?.sync();
      return true;
    } catch {
      return false;
    }
  }

  #startPolling() {
    if (this.#poll) return;
    const again = async () => {
      const answered = await this.#sync();
      if (!this.#poll) return;
      this.#set(answered ? "polling" : "offline");
      this.#poll = setTimeout(again, POLL_EVERY_MS);
    };
    this.#poll = setTimeout(again, 0);
  }

  #stopPolling() {
    clearTimeout(this.#poll);
    this.#poll = 0;
  }

  #disconnect() {
    this.#stopPolling();
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #visibility() {
    if (!this.#url) return;
    if (document.visibilityState === "hidden") this.#disconnect();
    else if (!this.#source) this.#open();
  }
}
