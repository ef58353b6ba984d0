// What the agent keeps: the store's values, which can be changed here, and its timers. Asked for while it is looked at.

import { doing, duration, h, path, request, toast } from "./dom.js";

const POLL_MS = 1000;

function problemOf(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return error.message;
  }
}

// Something that is asked for every second while it is shown.
class Polled extends HTMLElement {
  #timer = null;
  #asking = false;

  set active(active) {
    clearInterval(this.#timer);
    this.#timer = active ? setInterval(() => this.look(), POLL_MS) : null;
    if (active) this.look();
  }

  async look() {
    if (document.hidden || this.#asking) return;
    this.#asking = true;
    try {
      this.show(await request("GET", this.url));
      this.said = "";
    } catch (error) {
      this.said = error.message;
    }
    this.#asking = false;
    this.tell(this.said);
  }
}

class Store extends Polled {
  #shown = "";

  connectedCallback() {
    this.begins = h("input", { type: "search", placeholder: "a prefix", "aria-label": "Keys that begin with",
      oninput: () => this.look() });
    this.note = h("p", { class: "faint", role: "status" });
    this.list = h("ul", { class: "plainlist" });
    this.key = h("input", { type: "text", "aria-label": "Key", placeholder: "key", autocomplete: "off" });
    this.value = h("textarea", { rows: 3, spellcheck: "false", "aria-label": "Value as JSON", placeholder: "a value, as JSON",
      oninput: () => this.#check() });
    this.problem = h("p", { class: "error", role: "status" });
    this.append(h("h2", null, "Store"), h("p", null, "What molecule.store holds. ", this.begins), this.note, this.list,
      h("form", { onsubmit: doing((event) => this.#save(event)) }, h("h3", null, "Set a value"), this.key, this.value,
        this.problem, h("p", { class: "actions" }, h("button", { type: "submit" }, "Save"))));
  }

  get url() {
    return path(`/store?prefix=${encodeURIComponent(this.begins.value)}`);
  }

  tell(problem) {
    this.note.textContent = problem || this.more;
  }

  #check() {
    this.problem.textContent = this.value.value ? problemOf(this.value.value) : "";
  }

  async #save(event) {
    event.preventDefault();
    await request("POST", path("/store"), { key: this.key.value, value: JSON.parse(this.value.value) });
    toast(`stored ${this.key.value}`);
    this.key.value = this.value.value = "";
    this.look();
  }

  show({ values, more }) {
    this.more = more ? `the first ${values.length}; a prefix shows others` : values.length ? "" : "nothing is stored";
    const key = JSON.stringify(values);
    if (key === this.#shown) return; // what is open stays open
    this.#shown = key;
    this.list.replaceChildren(...values.map((one) => this.#row(one)));
  }

  #row({ key, value }) {
    const edit = () => {
      this.key.value = key;
      this.value.value = value.length < 100000 ? JSON.stringify(JSON.parse(value), null, 2) : value;
      this.#check();
      this.value.focus();
    };
    const forget = doing(async () => {
      await request("POST", path("/store/delete"), { key });
      toast(`deleted ${key}`);
      this.look();
    });
    return h("li", null, h("p", { class: "actions" }, h("code", null, key),
      h("button", { class: "quiet small", onclick: edit, "aria-label": `Edit ${key}` }, "edit"),
      h("button", { class: "quiet small", onclick: forget, "aria-label": `Delete ${key}` }, "delete")),
    h("pre", { class: "block", tabindex: "0", "aria-label": `Value of ${key}` }, value.slice(0, 20000)));
  }
}

class Timers extends Polled {
  connectedCallback() {
    this.note = h("p", { class: "faint", role: "status" });
    this.list = h("ul", { class: "plainlist" });
    this.append(h("h2", null, "Timers"), h("p", null, "Functions of molecule.every and molecule.after."), this.note, this.list);
  }

  get url() {
    return path("/timers");
  }

  tell(problem) {
    this.note.textContent = problem || (this.list.children.length ? "" : "none");
  }

  show({ timers }) {
    const rows = new Map([...this.list.children].map((row) => [row.dataset.id, row]));
    this.list.replaceChildren(...timers.map((timer) => this.#row(timer, rows.get(String(timer.id)))));
  }

  // The row that is there stays, with its button: somebody may be about to press it.
  #row(timer, row) {
    const every = timer.every_ms ? `every ${duration(timer.every_ms)}` : "once";
    const when = timer.running ? "runs now" : `next in ${duration(timer.due_ms)}`;
    if (!row) {
      const run = doing(async () => {
        await request("POST", path(`/timers/${timer.id}/run`));
        toast("it runs");
        this.look();
      });
      row = h("li", { "data-id": timer.id }, h("p", { class: "actions" }, h("code", null, timer.place), h("span"),
        h("button", { onclick: run, "aria-label": `Run ${timer.place} now` }, "Run now")));
    }
    row.querySelector("span").textContent = `${every}, ${when}`;
    return row;
  }
}

customElements.define("molecule-store", Store);
customElements.define("molecule-timers", Timers);
