// What happened to one message: live, because it is asked for again whenever the message changes.

import { chip, copier, doing, duration, filesOf, h, json, path, placeOf, pretty, request, senderOf, size, timeOf,
  toast } from "./dom.js";
import { stepOf } from "./steps.js";

const LEDGER_MS = 1000; // the ledger may change later than the message does
const LONG = 1900; // characters; the list shows no more of a text

const block = (text, label) => h("pre", { class: "block", tabindex: "0", "aria-label": label }, text);

// Keeps itself open or closed by its label.
const folded = (label, text) => h("details", { "data-name": label }, h("summary", null, label), block(text, label));

function lineOf(line) {
  return h("li", { class: line.level }, h("span", { class: "faint" }, timeOf(line.at)), ` ${line.level} `, line.text);
}

function attemptOf(attempt, versions) {
  const facts = [attempt.outcome || "running"];
  if (attempt.wall_ms !== undefined) {
    facts.push(duration(attempt.wall_ms), `${attempt.cpu_ms} ms CPU`, `${size(attempt.memory_bytes)} in Lua`);
  }
  if (versions > 1) facts.push(`version ${attempt.script_version} of the script`);
  return h("li", { class: "attempt" },
    h("p", null, h("strong", null, `Attempt ${attempt.number}`), ` ${facts.join(" · ")} `,
      h("span", { class: "faint" }, timeOf(attempt.at))),
    attempt.log.length ? h("ul", { class: "log" }, attempt.log.map(lineOf)) : null,
    attempt.reason ? h("p", { class: attempt.outcome === "failed" ? "error" : "" }, attempt.reason) : null,
    placeOf(attempt.place),
    attempt.msg ? folded(`msg of attempt ${attempt.number}`, pretty(attempt.msg)) : null,
    attempt.traceback ? folded(`Traceback of attempt ${attempt.number}`, attempt.traceback) : null);
}

function askedOf(asked) {
  return h("li", null, h("span", { class: "faint" }, timeOf(asked.at)), ` ${asked.what} `,
    asked.key ? h("code", null, asked.key) : null, asked.text ? `: ${asked.text}` : null,
    asked.took_ms !== undefined ? h("span", { class: "faint" }, ` · ${duration(asked.took_ms)}`) : null,
    asked.problem ? h("p", { class: "error" }, asked.problem) : null);
}

// What the ledger knows: recorded, posted, confirmed, finished, and whether the cursor has passed it.
function ledgerOf(ledger, nameOf) {
  const { message, cursor, passed } = ledger, facts = [];
  const add = (name, value) => {
    if (value !== undefined && value !== null && value !== "") facts.push(h("dt", null, name), h("dd", null, String(value)));
  };
  add("state", message ? STATES[message.state] || message.state : "not recorded: it is handled, or was never here");
  if (message) {
    add("outcome", message.outcome);
    add("attempts", message.attempts);
    add("failures", message.failures || null);
    add("first seen", message.first_seen);
    add("changed", message.changed);
    add("due", message.due);
    if (message.reply_bytes) add("stored reply", `${size(message.reply_bytes)}, id ${message.reply_id}`);
  }
  add("cursor", cursor ? `${cursor}${passed === undefined ? "" : passed ? ", which has passed it" : ", which is before it"}`
    : "none yet");
  for (const step of ledger.steps || []) facts.push(...stepOf(step, nameOf));
  return h("dl", { class: "facts" }, facts);
}

function postOf(post) {
  const answer = post.status === 0 ? "no answer" : post.status;
  const notes = [duration(post.took_ms)];
  if (post.fault) notes.push(`fault: ${post.fault}`);
  if (post.lost) notes.push("the answer was not delivered");
  return h("li", null,
    h("p", null, post.pushed ? "pushed to the host → " : `${post.method} ${post.path.replace(/^\/workspaces\/[^/]*/, "…")} → `,
      h("strong", null, String(answer)),
      ` ${notes.join(" · ")} `, h("span", { class: "faint" }, timeOf(post.at))),
    block(pretty(post.body), "Request"), post.answer ? block(pretty(post.answer), "Answer") : null);
}

const STATES = { replied: "replied: the exact reply is stored, its post is not confirmed", finished: "finished",
  kept: "kept: it runs again when due", dead: "dead letter", elsewhere: "answered by another client" };

// What keeps a text from being an envelope; "": nothing.
function problemOf(text) {
  try {
    const value = JSON.parse(text);
    return value === null || typeof value !== "object" || Array.isArray(value) ? "an envelope is a JSON object" : "";
  } catch (error) {
    return error.message;
  }
}

class What extends HTMLElement {
  #id = null;
  #detail = null;
  #editing = false;
  #asking = false;
  #again = false;

  connectedCallback() {
    this.#draw();
    setInterval(() => this.#lookUp(this.#id), LEDGER_MS);
  }

  set peers(list) {
    this.#peers = list;
  }

  #peers = [];

  get id() {
    return this.#id;
  }

  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#detail = null;
    this.#ledger = null;
    this.#editing = false;
    this.refresh();
  }

  // One request at a time; the last change wins.
  async refresh() {
    if (!this.#id) return this.#draw();
    if (this.#asking) {
      this.#again = true;
      return undefined;
    }
    this.#asking = true;
    const id = this.#id;
    try {
      const detail = await request("GET", path(`/messages/${id}`));
      if (id === this.#id) this.#detail = detail;
    } catch (error) {
      if (id === this.#id) this.#detail = { problem: error.message };
    }
    this.#asking = false;
    const again = this.#again || id !== this.#id;
    this.#again = false;
    if (again) return this.refresh();
    return this.#draw();
  }

  // Only while its part is open.
  async #lookUp(id) {
    const part = this.querySelector('details[data-name="Ledger"]');
    if (!part || !part.open || document.hidden || this.checkVisibility?.() === false) return;
    let shown;
    try {
      shown = ledgerOf(await request("GET", path(`/messages/${id}/ledger`)), (peer) => this.#nameOf(peer));
    } catch (error) {
      shown = h("p", { class: "error" }, error.message);
    }
    if (id !== this.#id) return;
    this.#ledger = shown;
    this.querySelector(".ledger")?.replaceChildren(shown);
  }

  #ledger = null;

  #nameOf(id) {
    return this.#peers.find((peer) => peer.id === id)?.name || id || "canvas";
  }

  async #sendAgain(body) {
    const { id } = await request("POST", path(`/messages/${this.#id}/again`), body || {});
    this.dispatchEvent(new CustomEvent("choose", { detail: { id, wait: true }, bubbles: true }));
  }

  #change(verb, word) {
    return doing(async () => {
      await request("POST", path(`/messages/${this.#id}/${verb}`));
      toast(word);
    });
  }

  #actions(item) {
    const as = h("select", { "aria-label": "Send again as", onchange: doing(async (event) => {
      const from = event.target.value;
      event.target.value = "";
      if (from) await this.#sendAgain({ from });
    }) }, h("option", { value: "" }, "Send as…"), h("option", { value: "canvas" }, "canvas"),
    this.#peers.map((peer) => h("option", { value: peer.id }, peer.name)));
    const dead = item.outcome === "dead" && !item.dropped;
    const link = `${location.origin}${location.pathname}#${item.id}`;
    const test = copier(() => request("GET", path(`/messages/${item.id}/test`)), "the test");
    return h("p", { class: "actions" },
      item.envelope ? [h("button", { onclick: doing(() => this.#sendAgain()) }, "Send again"),
        h("button", { onclick: () => this.#edit() }, "Edit and send"), as] : null,
      dead ? [h("button", { onclick: this.#change("retry", "it runs again") }, "Retry"),
        h("button", { onclick: this.#change("drop", "dropped") }, "Drop")] : null,
      h("button", { class: "quiet", onclick: copier(link, "the link") }, "Copy link"),
      h("button", { class: "quiet", onclick: test }, "Copy as test"));
  }

  #edit() {
    this.#editing = true;
    this.#draw();
    this.querySelector(".editor textarea")?.focus();
  }

  #editor(item) {
    const problem = h("p", { class: "error", role: "status" });
    const send = h("button", { type: "submit" }, "Send");
    const check = () => {
      problem.textContent = problemOf(area.value);
      send.disabled = problem.textContent !== "";
    };
    const area = h("textarea", { rows: 18, spellcheck: "false", "aria-label": "Envelope as JSON", value: json(item.envelope),
      oninput: check });
    const close = () => {
      this.#editing = false;
      this.#draw();
    };
    const submit = doing(async (event) => {
      event.preventDefault();
      await this.#sendAgain({ envelope: JSON.parse(area.value) });
    });
    const key = (event) => {
      if (event.key === "Escape") close();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !send.disabled) event.currentTarget.requestSubmit();
    };
    return h("form", { class: "editor", onsubmit: submit, onkeydown: key }, area, problem, h("p", { class: "actions" }, send,
      h("button", { type: "button", class: "quiet", onclick: close }, "Cancel")));
  }

  #part(title, open, ...content) {
    const name = title.replace(/ \(.*\)$/, "");
    return h("details", { open, "data-name": name, ontoggle: name === "Ledger" ? () => this.#lookUp(this.#id) : null },
      h("summary", null, title), ...content);
  }

  #draw() {
    if (this.#editing && this.querySelector(".editor") && this.querySelector(".editor").dataset.id === this.#id) return;
    const item = this.#detail;
    if (!this.#id || !item) {
      this.replaceChildren(h("p", { class: "empty" }, this.#id ? "…" : "Choose a message to see what happened to it."));
      return;
    }
    if (item.problem) {
      this.replaceChildren(h("p", { class: "empty" }, item.problem));
      return;
    }
    const scroll = this.scrollTop;
    const editor = this.#editing ? this.#editor(item) : null;
    if (editor) editor.dataset.id = this.#id;
    const parts = () => [...this.querySelectorAll("details[data-name]")];
    const before = new Map(parts().map((part) => [part.dataset.name, part.open])); // what is open or closed stays so
    this.replaceChildren(this.#head(item), this.#actions(item), ...(editor ? [editor] : []), ...this.#parts(item));
    for (const part of parts()) part.open = before.get(part.dataset.name) ?? part.open;
    this.scrollTop = scroll;
  }

  #head(item) {
    const choose = () => this.dispatchEvent(new CustomEvent("choose", { detail: { id: item.again_of }, bubbles: true }));
    const word = item.edited ? "edited from an earlier one" : "repeats an earlier one";
    return h("h2", null, `Message ${item.n} `, h("span", { class: "faint" }, `from ${senderOf(item)} `), chip(item),
      item.again_of ? h("button", { class: "quiet small", onclick: choose }, word) : null);
  }

  #parts(item) {
    const { attempts, asked, posts, reply } = item;
    const versions = new Set(attempts.map((attempt) => attempt.script_version)).size;
    const long = item.text.length > LONG || (reply && reply.text.length > LONG);
    const list = (tag, ...children) => h(tag, { class: "plainlist" }, ...children);
    return [
      item.reason ? h("div", { class: item.state === "asleep" ? "trouble calm" : "trouble" }, h("p", null, item.reason),
        placeOf(item.place)) : null,
      long ? this.#part("Text", false, block(item.text, "Message"), reply ? block(reply.text, "Reply") : null) : null,
      item.files.length ? this.#part("Files", true, filesOf(item, item.files)) : null,
      this.#part(`Attempts (${attempts.length})`, true, attempts.length
        ? list("ol", attempts.map((one) => attemptOf(one, versions))) : h("p", null, "none so far")),
      asked.length ? this.#part(`Asked of the host (${asked.length})`, true, list("ul", asked.map(askedOf))) : null,
      posts.length ? this.#part(`Reply and the platform's answer (${posts.length})`, true, list("ul", posts.map(postOf))) : null,
      this.#part("Ledger", false, h("div", { class: "ledger" }, this.#ledger)),
      item.envelope ? this.#part(`Envelope (${size(JSON.stringify(item.envelope).length)})`, true,
        block(json(item.envelope), "Envelope")) : null,
      item.row ? this.#part("Row", false, block(json(item.row), "Row")) : null].filter(Boolean);
  }
}

customElements.define("molecule-what", What);
