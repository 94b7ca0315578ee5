// @ts-check
// Trace ids in the forms in which people find them. The server knows the same ones. Pure.

const X_RAY = /^1-[0-9a-f]{8}-[0-9a-f]{24}$/i;
const HEX = /^[0-9a-f]{32}$/i;
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/i;
const ROOT = /(?:^|[;,\s:])root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?=$|[;,\s])/i;

/**
 * The trace id in a text that is one: `1-<8 hex>-<24 hex>`, 32 hex digits, a tracing header, a `traceparent`, an address
 * of this page. Null for anything else.
 * @param {string} text
 * @returns {string | null}
 */
export function traceIdOf(text) {
  const word = text.trim().replace(/^\S*#\/?trace\//, "").replace(/[?&].*$/s, "");
  if (X_RAY.test(word)) return word.toLowerCase();
  const hex = HEX.test(word) ? word : (TRACEPARENT.exec(word.replace(/^traceparent:\s*/i, ""))?.[1] ?? null);
  if (hex !== null) return `1-${hex.slice(0, 8)}-${hex.slice(8)}`.toLowerCase();
  return ROOT.exec(text.trim())?.[1].toLowerCase() ?? null;
}
