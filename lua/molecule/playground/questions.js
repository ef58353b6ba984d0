// Open questions of handlers (ctx.ask): the list of them, and the buttons of those that are asked in the conversation.

import { doing, h, path, request, toast, whenOf } from "./dom.js";

// --- in the conversation ---

let open = new Map();   // code -> question
const sent = new Map(); // code -> the id of the message that should answer it; "": it is being sent

export function setOpen(questions) {
  open = new Map(questions.map((question) => [question.code, question]));
  for (const code of sent.keys()) if (!open.has(code)) sent.delete(code);
}

export const noteSent = (code, id) => sent.set(code, id);
export const noteUnsent = (code) => sent.delete(code);

// A message that was no answer after all: its question can still be answered.
export function noteOutcome(item) {
  if (!item || !item.outcome || item.outcome === "answer") return;
  for (const [code, id] of sent) if (id === item.id) sent.delete(code);
}

// What a human sends for this choice: with the code where others are open, too.
export function answerOf(code, choice) {
  const toCanvas = [...open.values()].filter((question) => question.to === "canvas").length;
  return toCanvas > 1 ? `${code} ${choice}` : choice;
}

function asksHere(code) {
  const question = code && open.get(code);
  return question && question.to === "canvas" && question.choices ? question : null;
}

// What the row of this item looks like depends on this, too.
export function askedIn(item) {
  return [item, item.reply, ...(item.interim || [])].map((one) => one && asksHere(one.question)).filter(Boolean)
    .map(({ code }) => (sent.has(code) ? `${code} sent` : code)).join();
}

// Buttons below what the agent says, if it asks an open question.
export function choicesOf(one) {
  const question = asksHere(one.question);
  if (!question) return null;
  const { code, choices } = question;
  const choose = (choice) => (event) => event.currentTarget.dispatchEvent(
    new CustomEvent("answer", { detail: { code, choice }, bubbles: true }));
  return h("div", { class: "choose", role: "group", "aria-label": `Choices of question ${code}` },
    choices.map((choice) => h("button", { disabled: sent.has(code), onclick: choose(choice) }, choice)));
}

// --- beside it ---

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

class Questions extends HTMLElement {
  connectedCallback() {
    this.heading = h("h2", { tabindex: "-1" }, "Questions");
    this.note = h("p", { class: "faint", role: "status" }, "none");
    this.list = h("ul", { class: "plainlist" });
    this.append(this.heading, h("p", null, "What handlers ask with ctx.ask, and wait for."), this.note, this.list);
  }

  // `numberOf`: of a message, by its id; undefined: it is not here. A row that is there stays: somebody may be writing in it.
  show(questions, numberOf) {
    const rows = new Map([...this.list.children].map((row) => [row.dataset.code, row]));
    const codes = new Set(questions.map(({ code }) => code));
    for (const [code, row] of rows) if (!codes.has(code)) this.#remove(row);
    for (const question of questions) {
      let row = rows.get(question.code);
      if (!row) this.list.append(row = this.#row(question));
      this.#update(row, question, numberOf(question.message));
    }
    set(this.note, questions.length ? "" : "none");
  }

  // Whoever was in it with the keyboard is at the next one.
  #remove(row) {
    const next = row.nextElementSibling || row.previousElementSibling;
    const focused = row.contains(document.activeElement);
    row.remove();
    if (focused) (next?.querySelector("button, textarea") || this.heading).focus();
  }

  #update(row, { to, to_name, asked, until }, number) {
    const link = row.querySelector(".link");
    link.hidden = number === undefined;
    set(link, `Message ${number}`);
    set(row.querySelector(".when"), `to ${to === "canvas" ? "canvas" : to_name}, since ${whenOf(Date.parse(asked))}, ${
      until ? `until ${whenOf(Date.parse(until))}` : "not posted yet"}`);
  }

  #row({ code, text, cut, choices, message }) {
    const choose = () => this.dispatchEvent(new CustomEvent("choose", { detail: { id: message }, bubbles: true }));
    return h("li", { "data-code": code },
      h("p", { class: "actions" }, h("code", null, code),
        h("button", { class: "link quiet small", onclick: choose }), h("span", { class: "when faint" })),
      h("p", { class: "asked", dir: "auto" }, cut ? `${text}…` : text),
      choices ? h("div", { class: "choose" }, choices.map((choice) => h("button", {
        "aria-label": `Answer ${code}: ${choice}`, onclick: this.#answer(code, () => choice) }, choice))) : this.#form(code),
      h("p", { class: "actions" }, h("button", { class: "quiet small", "aria-label": `Cancel question ${code}`,
        onclick: this.#close(code, "cancel", () => ({}), "canceled") }, "Cancel question")));
  }

  #form(code) {
    const area = h("textarea", { rows: 2, dir: "auto", "aria-label": `Answer to question ${code}` });
    const submit = this.#answer(code, () => area.value);
    const key = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
    };
    return h("form", { onkeydown: key, onsubmit: (event) => {
      event.preventDefault();
      if (area.value.trim() !== "") submit(event);
    } }, area, h("p", { class: "actions" }, h("button", { type: "submit", "aria-label": `Answer question ${code}` }, "Answer")));
  }

  #answer(code, text) {
    return this.#close(code, "answer", () => ({ text: text() }), "answered");
  }

  // One press is enough: until it is closed, or that is refused.
  #close(code, verb, body, word) {
    return doing(async (event) => {
      const row = event.currentTarget.closest("li");
      if (row.dataset.closing) return;
      row.dataset.closing = verb;
      try {
        await request("POST", path(`/questions/${code}/${verb}`), body());
        toast(`question ${code}: ${word}`);
      } catch (error) {
        delete row.dataset.closing;
        throw error;
      }
    });
  }
}

customElements.define("molecule-questions", Questions);
