// @ts-check
// Stacks in the order and the form of the language they are of. Pure.

import { numberOf, textOf } from "./model.js";

/** The languages by the ends of their files. */
const LANGUAGES = [
  { name: "python", ends: /\.py[cx]?$/ },
  { name: "java", ends: /\.(java|kt|scala|groovy)$/ },
  { name: "dotnet", ends: /\.(cs|fs|vb)$/ },
  { name: "ruby", ends: /\.rb$/ },
  { name: "go", ends: /\.go$/ },
  { name: "php", ends: /\.php$/ },
  { name: "node", ends: /(\.[cm]?[jt]sx?$|^node:)/ },
];

/** The language of frames, or "node", whose form most readers know. */
export function languageOf(frames) {
  const paths = frames.map((frame) => textOf(frame.path) ?? "");
  for (const path of paths) {
    const language = LANGUAGES.find(({ ends }) => ends.test(path));
    if (language) return language.name;
  }
  return "node";
}

/**
 * Whether the last frame is the newest call: Python writes stacks so, and the X-Ray SDK for it sends them so. Stacks of
 * OpenTelemetry have been turned round where they were read.
 */
export function isNewestLast(frames, node) {
  return node.otlp !== true && languageOf(frames) === "python";
}

/** {directory, file, line, label} of a frame, each a text, or null where it says nothing. */
export function partsOf(frame) {
  const path = textOf(frame.path) ?? "(unknown file)";
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1;
  return { path, directory: path.slice(0, cut), file: path.slice(cut), line: numberOf(frame.line), label: textOf(frame.label) ?? "(anonymous)" };
}

/** An exception with its stack, as its language prints it; `frames` in the order in which they were sent. */
export function stackText(exception, frames, node) {
  const type = textOf(exception.type);
  const message = textOf(exception.message);
  const head = [type, message].filter((part) => part !== null).join(": ");
  const language = languageOf(frames);
  const parts = frames.map(partsOf);
  const line = (part) => part.line ?? "?";
  switch (language) {
    case "python": {
      const oldestFirst = isNewestLast(frames, node) ? parts : parts.toReversed();
      return ["Traceback (most recent call last):", ...oldestFirst.map((part) => `  File "${part.path}", line ${line(part)}, in ${part.label}`), head].join("\n");
    }
    case "java":
      return [head, ...parts.map((part) => `\tat ${part.label}(${part.file}:${line(part)})`)].join("\n");
    case "dotnet":
      return [head, ...parts.map((part) => `   at ${part.label} in ${part.path}:line ${line(part)}`)].join("\n");
    case "go":
      return [head, "", ...parts.map((part) => `${part.label}(...)\n\t${part.path}:${line(part)}`)].join("\n");
    case "ruby": {
      const at = (part) => `${part.path}:${line(part)}:in '${part.label}'`;
      const [first, ...rest] = parts;
      return [`${at(first)}: ${message ?? ""}${type ? ` (${type})` : ""}`, ...rest.map((part) => `\tfrom ${at(part)}`)].join("\n");
    }
    case "php":
      return [head, ...parts.map((part, at) => `#${at} ${part.path}(${line(part)}): ${part.label}()`)].join("\n");
    default:
      return [head, ...parts.map((part) => `    at ${part.label} (${part.path}:${line(part)})`)].join("\n");
  }
}
