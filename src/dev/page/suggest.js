// @ts-check
// What could come next in a filter expression: words of the language, and names seen in the traces. Pure.

import { quote } from "./filter.js";

const MAX = 9;

const WORDS = [
  ["fault", "5xx, or an exception nobody handled"],
  ["error", "4xx"],
  ["throttle", "429"],
  ["ok", "none of these"],
  ["responsetime >= ", "seconds until the response"],
  ["duration >= ", "seconds until the last segment ended"],
  ["http.url CONTAINS ", "part of the URL"],
  ["http.status = ", "status code"],
  ["http.method = ", "method"],
  ["http.clientip = ", "address of the client"],
  ["http.useragent CONTAINS ", "user agent"],
  ["service(", "passed through a service"],
  ["edge(", "a call from one service to another"],
  ["annotation.", "an annotation of your code"],
  ["user = ", "user of a segment"],
  ["name = ", "name of a segment"],
  ["AND ", "both"],
  ["OR ", "either"],
  ["NOT ", "not"],
  ["CONTAINS ", "has the text"],
  ["BEGINSWITH ", "starts with the text"],
  ["ENDSWITH ", "ends with the text"],
];

/**
 * Suggestions for the word before the caret. `known`: services (names), annotations (Map of key to example value).
 * Returns {from, to, items: [{insert, label, hint}]}; the span from..to of the text is what an item replaces.
 */
export function suggestions(text, caret, known) {
  const before = text.slice(0, caret);
  const inService = /\b(service|edge)\(\s*(?:"[^"]*"\s*,\s*)?"?([^"(),]*)$/i.exec(before);
  if (inService) return names(inService[2], caret, before, known.services);
  const annotation = /\bannotation\.([A-Za-z0-9_]*)$/i.exec(before);
  if (annotation) return annotations(annotation[1], caret, known.annotations);
  if (insideQuotes(before)) return { from: caret, to: caret, items: [] };
  const word = /[A-Za-z_.]*$/.exec(before)?.[0] ?? "";
  if (word === "") return { from: caret, to: caret, items: [] };
  const items = WORDS.filter(([insert]) => matches(insert, word)).map(([insert, hint]) => ({ insert, label: insert.trim(), hint }));
  return { from: caret - word.length, to: caret, items: items.slice(0, MAX) };
}

/** What an empty box offers: a way in for someone who has never seen the language. */
export function starters(slow) {
  return [
    { insert: "fault", label: "fault", hint: "requests that failed on the server" },
    { insert: "error OR throttle", label: "error OR throttle", hint: "requests that were refused" },
    { insert: `responsetime >= ${slow}`, label: `responsetime >= ${slow}`, hint: "slow requests, in seconds" },
    { insert: 'http.url CONTAINS "/"', label: 'http.url CONTAINS "/"', hint: "part of the URL" },
    { insert: "service(", label: "service(…)", hint: "requests that passed through a service" },
    { insert: "annotation.", label: "annotation.…", hint: "by what your code noted" },
  ];
}

function names(word, caret, before, services) {
  const quoted = before[caret - word.length - 1] === '"';
  const items = services
    .filter((name) => matches(name, word))
    .map((name) => ({ insert: `${quote(name)})`, label: name, hint: "service" }));
  return { from: caret - word.length - (quoted ? 1 : 0), to: caret, items: items.slice(0, MAX) };
}

function annotations(word, caret, known) {
  const items = [...known]
    .filter(([key]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) && matches(key, word))
    .map(([key, example]) => ({ insert: `${key} = `, label: key, hint: `such as ${String(example).slice(0, 40)}` }));
  return { from: caret - word.length, to: caret, items: items.slice(0, MAX) };
}

function matches(candidate, word) {
  const a = candidate.toLowerCase();
  const b = word.toLowerCase();
  return a.startsWith(b) && a.trim() !== b;
}

function insideQuotes(text) {
  let open = null;
  for (const c of text) {
    if (open === null && (c === '"' || c === "'")) open = c;
    else if (c === open) open = null;
  }
  return open !== null;
}
