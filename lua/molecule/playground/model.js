// What the page knows: the items of the event stream. The emulator keeps them; the page can be reloaded at any time.

import { path, senderOf } from "./dom.js";

export class Model extends EventTarget {
  items = [];          // in the order in which they began
  byNumber = new Map();
  byId = new Map();
  status = null;
  questions = [];      // that are open
  connected = false;
  whole = false;       // all that there was has arrived
  run = null;
  #fresh = new Set();  // changed since listeners heard
  #dropped = false;

  start() {
    const source = new EventSource(path("/events"));
    source.addEventListener("hello", (event) => this.#hello(JSON.parse(event.data)));
    source.addEventListener("item", (event) => this.#take(JSON.parse(event.data)));
    source.addEventListener("whole", () => {
      this.whole = true;
      this.#plan();
    });
    source.addEventListener("error", () => this.#connect(false));
    source.addEventListener("open", () => this.#connect(true));
  }

  #connect(connected) {
    if (this.connected === connected) return;
    this.connected = connected;
    this.#emit("connection");
  }

  #hello({ run, from }) {
    if ((this.run && this.run !== run) || from === 0) this.#forget();
    this.run = run;
  }

  #forget() {
    this.items = [];
    this.questions = [];
    this.byNumber.clear();
    this.byId.clear();
    this.whole = false;
    this.#fresh.clear();
    this.#dropped = true;
    this.#plan();
  }

  #take(item) {
    if (item.kind === "status") {
      this.status = item;
      this.#dropOld(item.oldest);
    } else if (item.kind === "questions") {
      this.questions = item.questions;
    } else {
      this.#put(item);
    }
    this.#fresh.add(item);
    this.#plan();
  }

  #put(item) {
    item.words = `${item.text}\n${item.reply ? item.reply.text : ""}\n${item.reason || ""}\n${senderOf(item)}`.toLowerCase();
    const before = this.byNumber.get(item.n);
    this.byNumber.set(item.n, item);
    if (item.id) this.byId.set(item.id, item);
    if (before) {
      this.items[this.#indexOf(item.n)] = item;
      return;
    }
    const last = this.items[this.items.length - 1];
    if (!last || last.n < item.n) this.items.push(item);
    else this.items.splice(this.#indexOf(item.n), 0, item);
  }

  // Where the item of this number is, or would be.
  #indexOf(number) {
    let low = 0, high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].n < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #dropOld(oldest) {
    const count = this.#indexOf(oldest);
    if (count === 0) return;
    for (const item of this.items.splice(0, count)) {
      this.byNumber.delete(item.n);
      if (item.id) this.byId.delete(item.id);
    }
    this.#dropped = true;
  }

  // Many changes in a row are told once.
  #plan() {
    if (this.planned) return;
    this.planned = true;
    setTimeout(() => {
      const fresh = this.#fresh, dropped = this.#dropped;
      this.planned = false;
      this.#fresh = new Set();
      this.#dropped = false;
      this.#emit("change", { fresh, dropped });
    }, 16);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
