// @ts-check
// Filter expressions as text: taking a clause in and out without understanding the language. The server judges what
// an expression means; here it is only cut at its top-level ANDs. Pure.

import { plain } from "./format.js";

const RANGE = /^responsetime\s*(>=|<)\s*([0-9]*\.?[0-9]+)$/i;

/** The clauses between top-level ANDs. An expression with a top-level OR is one clause. */
export function clauses(expression) {
  const text = expression.trim();
  if (text === "") return [];
  const parts = [];
  let start = 0;
  for (const word of topLevelWords(text)) {
    if (word.text === "OR") return [text];
    if (word.text === "AND") {
      parts.push(text.slice(start, word.at));
      start = word.at + 3;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Words outside quotes and brackets, upper-cased, with where they stand. */
function* topLevelWords(text) {
  let depth = 0;
  let quote = null;
  let at = 0;
  while (at < text.length) {
    const c = text[at];
    if (quote) {
      if (c === "\\") at += 1;
      else if (c === quote) quote = null;
    } else if (c === '"' || c === "'") quote = c;
    else if ("({[".includes(c)) depth += 1;
    else if (")}]".includes(c)) depth -= 1;
    else if (depth === 0) {
      const word = /^[A-Za-z_][A-Za-z0-9_.]*/.exec(text.slice(at));
      if (word) {
        yield { text: word[0].toUpperCase(), at };
        at += word[0].length;
        continue;
      }
    }
    at += 1;
  }
}

/** True when the expression has this clause, as written. */
export function hasClause(expression, clause) {
  return clauses(expression).includes(clause);
}

/** The expression and the clause. */
export function withClause(expression, clause) {
  if (hasClause(expression, clause)) return expression.trim();
  return join([...asConjuncts(expression), clause]);
}

/** The expression without the clause. */
export function withoutClause(expression, clause) {
  return join(clauses(expression).filter((part) => part !== clause));
}

/** In if it was out, out if it was in. */
export function toggleClause(expression, clause) {
  return hasClause(expression, clause) ? withoutClause(expression, clause) : withClause(expression, clause);
}

/** The range of response times the expression asks for: {from_s, to_s}, either may be null; null without one. */
export function rangeOf(expression) {
  /** @type {number | null} */
  let from_s = null;
  /** @type {number | null} */
  let to_s = null;
  for (const part of clauses(expression)) {
    const match = RANGE.exec(part);
    if (match?.[1] === ">=") from_s = Number(match[2]);
    else if (match?.[1] === "<") to_s = Number(match[2]);
  }
  return from_s === null && to_s === null ? null : { from_s, to_s };
}

/** The expression without its range: what the histogram shows, so that the rest stays in sight. */
export function withoutRange(expression) {
  return join(clauses(expression).filter((part) => !RANGE.test(part)));
}

/** The expression with this range in place of the one it had; null bounds are open. */
export function withRange(expression, from_s, to_s) {
  const parts = asConjuncts(withoutRange(expression));
  if (from_s !== null && from_s > 0) parts.push(`responsetime >= ${plain(from_s)}`);
  if (to_s !== null && Number.isFinite(to_s)) parts.push(`responsetime < ${plain(to_s)}`);
  return join(parts);
}

/** A string of the filter language. */
export function quote(text) {
  return `"${String(text).replace(/["\\]/g, "\\$&")}"`;
}

/** A literal: strings quoted, numbers and booleans bare. */
export function literal(value) {
  return typeof value === "string" ? quote(value) : String(value);
}

/** The annotation clause for a key of any spelling. */
export function annotationClause(key, value) {
  const name = /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `annotation.${key}` : `annotation[${quote(key)}]`;
  return `${name} = ${literal(value)}`;
}

function asConjuncts(expression) {
  const parts = clauses(expression);
  const alone = parts.length === 1 && [...topLevelWords(parts[0])].some((word) => word.text === "OR");
  return alone ? [`(${parts[0]})`] : parts;
}

function join(parts) {
  return parts.join(" AND ");
}
