// Steps of a handler, as the ledger has them: those of a question (ctx.ask) in words, others as they are.

import { h, whenOf } from "./dom.js";

function askOf({ text, choices, code, peer }, nameOf) {
  return [h("p", { class: "asked", dir: "auto" }, text),
    h("p", { class: "faint" }, [`question ${code} to ${nameOf(peer)}`, choices && `choices: ${choices.join(", ")}`]
      .filter(Boolean).join(" · "))];
}

function postedOf({ deadline_ms, task_id }) {
  return h("p", null, `an answer may come until ${whenOf(deadline_ms)}`, task_id ? ` · task ${task_id}` : null);
}

function answerOf({ text, choice, from, files, problem, code }, nameOf) {
  if (code) return h("p", { class: "error" }, `${code}: ${problem}`);
  const facts = [`from ${nameOf(from)}`, choice && choice !== text && `the choice ${choice}`,
    files && files.length && `${files.length} file${files.length === 1 ? "" : "s"}`];
  return [h("p", { class: "asked", dir: "auto" }, text), h("p", { class: "faint" }, facts.filter(Boolean).join(" · "))];
}

const WORDS = { ask: askOf, posted: postedOf, answer: answerOf };

// Its kind and what it holds, for a list of facts. `nameOf`: of a peer's id, or of none: the canvas.
export function stepOf({ kind, key, value }, nameOf) {
  const words = WORDS[kind] && value !== null && typeof value === "object" ? WORDS[kind](value, nameOf)
    : ` = ${JSON.stringify(value)}`;
  return [h("dt", null, kind), h("dd", null, h("code", null, key), words)];
}
