// Sends segments the way SDKs do: a header line and a document in one datagram.

import { createSocket } from "node:dgram";

const HEADER = '{"format":"json","version":1}\n';
/** Fewer than fit into the smallest receive buffer in use, so that nothing is lost between two looks at the count. */
const AT_ONCE = 100;
const PATIENCE_MS = 20_000;

export class Feeder {
  #socket = createSocket("udp4");
  #host;
  #port;
  #url;
  #key;

  /** `url` of the page, to see what has arrived; `udp` as "host:port". */
  constructor(url, udp) {
    this.#url = url;
    const cut = udp.lastIndexOf(":");
    [this.#host, this.#port] = [udp.slice(0, cut), Number(udp.slice(cut + 1))];
  }

  /** One document, without waiting. */
  send(document) {
    const text = typeof document === "string" ? document : JSON.stringify(document);
    return new Promise((resolve, reject) => {
      this.#socket.send(HEADER + text, this.#port, this.#host, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends all, and returns when the store has them. */
  async sendAll(documents) {
    let arrived = (await this.stats()).store.documents;
    for (let at = 0; at < documents.length; at += AT_ONCE) {
      const part = documents.slice(at, at + AT_ONCE);
      for (const document of part) await this.send(document);
      arrived += part.length;
      await this.#until(arrived);
    }
  }

  async #until(documents) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { store } = await this.stats();
      if (store.documents >= documents) return;
      if (Date.now() > deadline) throw new Error(`only ${store.documents} of ${documents} documents arrived`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Where the page asks, with the key that is in it. */
  async #asked(path) {
    if (!this.#key) {
      const page = await (await fetch(`${this.#url}/`)).text();
      [, this.#key] = /<meta name="xray-key" content="([0-9a-f]+)">/.exec(page);
    }
    return `${this.#url}${path}?key=${this.#key}`;
  }

  async stats() {
    return (await fetch(await this.#asked("/-/stats"))).json();
  }

  async clear() {
    const answer = await fetch(await this.#asked("/-/traces"), { method: "DELETE" });
    if (!answer.ok) throw new Error(`the store is not cleared: ${answer.status}`);
  }

  /** A report of a sampler. */
  async report(statistics) {
    const body = JSON.stringify({ SamplingStatisticsDocuments: [statistics] });
    const answer = await fetch(`${this.#url}/SamplingTargets`, { method: "POST", body });
    if (!answer.ok) throw new Error(`the report is not taken: ${answer.status}`);
  }

  close() {
    this.#socket.close();
  }
}
