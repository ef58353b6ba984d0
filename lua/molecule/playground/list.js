// The conversation: one list, of which only what can be seen is in the page. Heights are measured as rows are shown, and guessed
// before.

import { chip, filesOf, h, hueOf, placeOf, senderOf, timeOf, whenOf } from "./dom.js";
import { markdown } from "./markdown.js";
import { askedIn, choicesOf } from "./questions.js";

const GUESS = 96, MARGIN = 600;

function more(one) {
  return one.cut ? h("p", { class: "more" }, "… the whole text is in What happened") : null;
}

const plain = (text) => h("p", { class: "plain", dir: "auto" }, text);

function agentBubble(item, one, className, of) {
  return h("div", { class: `bubble agent ${className || ""}` }, one.text ? markdown(one.text) : null, more(one),
    filesOf(item, one.files, of), choicesOf(one));
}

function answerOf(item) {
  if (item.reply) return agentBubble(item, item.reply, item.reply.times > 1 ? "twice" : "", "reply");
  return null;
}

function troubleOf(item) {
  if (!item.reason && !item.place) return null;
  const when = { retrying: "next attempt at", asleep: "until" }[item.state];
  const again = when ? h("span", { class: "again" }, `${when} ${whenOf(item.again_at)}`) : null;
  return h("div", { class: item.state === "asleep" ? "trouble calm" : "trouble" },
    h("p", null, (item.reason || "").split("\n")[0], " ", again), placeOf(item.place));
}

function messageRow(item) {
  const notes = [];
  if (item.attempts > 1) notes.push(`${item.attempts} attempts`);
  if (item.reply && item.reply.times > 1) notes.push(`delivered ${item.reply.times} times`);
  else if (item.posts > 1) notes.push(`posted ${item.posts} times`);
  if (item.again_of) notes.push(item.edited ? "edited and sent again" : "sent again");
  return [
    h("button", { class: "meta", "data-id": item.id, title: "What happened" },
      h("span", { class: "hidden" }, `Message ${item.n} from `), h("span", { class: "from" }, senderOf(item)),
      h("span", { class: "faint" }, timeOf(item.at)), chip(item),
      notes.length ? h("span", { class: "faint" }, notes.join(" · ")) : null),
    h("div", { class: "bubble person" }, item.text ? plain(item.text) : null, more(item), filesOf(item, item.files)),
    item.interim.map((said, i) => agentBubble(item, said, "interim", i + 1)),
    answerOf(item), troubleOf(item)];
}

function saidRow(item) {
  return [
    h("p", { class: "meta" }, h("span", { class: "from" }, item.to ? `agent to ${item.to_name || item.to}` : "agent"),
      h("span", { class: "faint" }, timeOf(item.at)), h("span", { class: "faint" }, "on its own")),
    agentBubble(item, item)];
}

function logRow(item) {
  return [h("p", { class: `logline ${item.level}` },
    h("span", { class: "faint" }, timeOf(item.at)), ` ${item.level} `, item.text)];
}

const ROWS = { message: messageRow, said: saidRow, log: logRow };

class List extends HTMLElement {
  #all = [];            // the items that match
  #offsets = [0];
  #heights = new Map(); // number -> pixels
  #shown = new Map();   // number -> {element, item, asked}
  #selected = null;
  #follow = true;
  #depth = 0;

  connectedCallback() {
    this.canvas = h("div", { class: "canvas" });
    this.empty = h("p", { class: "empty" }, "Say something to your agent.");
    this.setAttribute("role", "log");
    this.setAttribute("aria-live", "off");
    this.setAttribute("aria-label", "Messages");
    this.tabIndex = 0;
    this.append(this.empty, this.canvas);
    this.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#resized()).observe(this);
  }

  set items(all) {
    this.#all = all;
    this.#layout();
  }

  get items() {
    return this.#all;
  }

  select(id, reveal) {
    this.#selected = id;
    for (const { element, item } of this.#shown.values()) element.classList.toggle("selected", item.id === id);
    if (reveal) this.reveal(id);
  }

  reveal(id) {
    const at = this.#all.findIndex((item) => item.id === id);
    if (at < 0) return;
    const top = this.#offsets[at], bottom = this.#offsets[at + 1];
    if (top < this.scrollTop || bottom > this.scrollTop + this.clientHeight) {
      this.#follow = at === this.#all.length - 1;
      this.scrollTop = this.#follow ? bottom : top - 16;
    }
    this.#render();
  }

  toEnd() {
    this.#follow = true;
    this.scrollTop = this.scrollHeight;
  }

  #layout() {
    let offset = 0;
    this.#offsets = new Array(this.#all.length + 1);
    this.#offsets[0] = 0;
    for (let i = 0; i < this.#all.length; i++) {
      offset += this.#heights.get(this.#all[i].n) || GUESS;
      this.#offsets[i + 1] = offset;
    }
    this.empty.hidden = this.#all.length > 0;
    this.canvas.style.height = `${offset}px`;
    if (this.#follow) this.scrollTop = this.scrollHeight;
    this.#render();
  }

  // The first item that reaches below this offset.
  #at(offset) {
    let low = 0, high = this.#all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsets[middle + 1] <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #render() {
    const first = this.#at(this.scrollTop - MARGIN), until = this.scrollTop + this.clientHeight + MARGIN;
    const wanted = new Set();
    for (let i = first; i < this.#all.length && this.#offsets[i] < until; i++) {
      const item = this.#all[i];
      wanted.add(item.n);
      this.#place(item, this.#offsets[i]);
    }
    for (const [number, one] of this.#shown) {
      if (wanted.has(number)) continue;
      one.element.remove();
      this.#shown.delete(number);
    }
    this.#measure();
  }

  #place(item, offset) {
    let one = this.#shown.get(item.n);
    const asked = askedIn(item);
    if (!one || one.item !== item || one.asked !== asked) {
      const className = `row ${item.kind} ${hueOf(item.from || item.to)}`;
      const element = h("article", { class: className, "data-n": item.n }, ROWS[item.kind](item));
      element.classList.toggle("selected", item.id !== undefined && item.id === this.#selected);
      if (one) this.#replace(one.element, element);
      else this.canvas.append(element);
      one = { element, item, asked };
      this.#shown.set(item.n, one);
    }
    one.element.style.transform = `translateY(${offset}px)`;
  }

  #replace(before, element) {
    const focused = before.contains(document.activeElement);
    before.replaceWith(element);
    if (focused) (element.querySelector("button:enabled") || this).focus();
  }

  #measure() {
    let changed = false;
    for (const [number, { element }] of this.#shown) {
      const height = element.offsetHeight;
      if (height > 0 && height !== (this.#heights.get(number) || GUESS)) {
        this.#heights.set(number, height);
        changed = true;
      }
    }
    if (!changed || this.#depth >= 4) return; // rows that come into sight are measured in turn
    this.#depth++;
    this.#keepPlace(() => this.#layout());
    this.#depth--;
  }

  // What is read stays where it is while heights above it become known.
  #keepPlace(change) {
    const at = this.#at(this.scrollTop), inside = this.scrollTop - this.#offsets[at];
    change();
    if (this.#follow || at >= this.#all.length) return;
    const top = this.#offsets[at] + inside;
    if (Math.abs(top - this.scrollTop) > 1) this.scrollTop = top;
  }

  #scrolled() {
    this.#follow = this.scrollHeight - this.scrollTop - this.clientHeight < 40;
    if (this.planned) return;
    this.planned = requestAnimationFrame(() => {
      this.planned = null;
      this.#render();
    });
  }

  #resized() {
    if (this.width !== this.clientWidth) this.#heights.clear();
    this.width = this.clientWidth;
    this.#layout();
  }

  #choose(id, byKey) {
    this.dispatchEvent(new CustomEvent("choose", { detail: { id, byKey }, bubbles: true }));
  }

  #click(event) {
    if (event.target.closest("a, .place button, .choose") || String(getSelection())) return;
    const row = event.target.closest(".row.message");
    if (row) this.#choose(this.#shown.get(Number(row.dataset.n)).item.id);
  }

  #key(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const messages = step && this.#all.filter((item) => item.kind === "message");
    if (!messages || messages.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = messages.findIndex((item) => item.id === this.#selected);
    const next = at < 0 ? messages.length - 1 : Math.max(0, Math.min(messages.length - 1, at + step));
    this.#choose(messages[next].id, true);
    this.reveal(messages[next].id);
  }
}

customElements.define("molecule-list", List);

