// Beside the conversation: faults, dead letters, and the platform's wire.

import { control, doing, duration, h, json, path, placeOf, pretty, request, senderOf, timeOf, toast } from "./dom.js";

const REPLIES = { method: "POST", path: "/notify$" }, TO_PEERS = { method: "POST", path: "/a2a$" };

// What goes wrong, in words, and as faults of the control API.
const FAULTS = [
  ["Replies are answered 503", "the host posts them again", { kind: "status", status: 503 }, [REPLIES, TO_PEERS]],
  ["Replies are answered 429", "with Retry-After: 2", { kind: "status", status: 429, headers: { "Retry-After": "2" } },
    [REPLIES, TO_PEERS]],
  ["The answer is lost after delivery", "the reply must arrive once all the same", { kind: "reset_after" }, [REPLIES, TO_PEERS]],
  ["Replies take 3 s", "the platform is slow", { kind: "delay", ms: 3000 }, [REPLIES, TO_PEERS]],
  ["Fetching the inbox fails", "502 from the proxy before the platform", { kind: "html502" },
    [{ method: "GET", path: "/activity$" }]],
  ["Heartbeats fail", "503", { kind: "status", status: 503 }, [{ method: "POST", path: "/registry/heartbeat" }]],
];

class Faults extends HTMLElement {
  #workspace = null;

  connectedCallback() {
    this.times = h("input", { type: "number", min: 1, max: 1000, value: 3, "aria-label": "How many times" });
    this.active = h("ul", { class: "plainlist" });
    this.append(h("h2", null, "Faults"), h("p", null, "What goes wrong ", this.times, " times:"),
      h("ul", { class: "choices" }, FAULTS.map((fault) => this.#choice(fault))),
      h("h3", null, "At once"), h("ul", { class: "choices" },
        this.#act("Prune the cursor", "the platform forgets all rows; the host starts from what is left",
          () => control("POST", "prune", { workspace: this.#workspace, all: true })),
        this.#act("Deliver the last row twice", "the host must handle it once", () => this.#duplicate()),
        this.#act("A late row", "committed after, but dated before the last one",
          () => control("POST", "late", { workspace: this.#workspace, text: "a late row" })),
        this.#act("The event stream dies", "the host connects again", () => control("POST", "events", { disconnect: true })),
        this.#act("Kill the host now", "as a crash does; a new one starts, and what was under way is answered once",
          () => control("POST", "kill")),
        this.#act("The platform restarts", "connections break for a moment",
          () => control("POST", "restart", { drain_ms: 0, down_ms: 1000 }))),
      h("h3", null, "Active"), this.active);
    this.#draw([]);
  }

  set status(status) {
    this.#workspace = status.workspace;
    this.#draw(status.faults);
  }

  #act(title, note, action) {
    return h("li", null, h("button", { onclick: doing(async () => {
      await action();
      toast(title);
    }) }, title), h("span", { class: "faint" }, note));
  }

  #choice([title, note, action, matches]) {
    return this.#act(title, note, async () => {
      const times = Math.max(1, Math.min(1000, Number(this.times.value) || 1));
      for (const match of matches) await control("POST", "faults", { action, match, times });
    });
  }

  async #duplicate() {
    const { messages } = await request("GET", path("/messages?limit=1"));
    if (messages.length === 0) throw new Error("there is no message yet");
    await control("POST", "duplicate", { workspace: this.#workspace, id: messages[0].id });
  }

  #line(fault) {
    const { action, match, times } = fault;
    return h("li", null, `${action.kind}${action.status ? ` ${action.status}` : ""} `,
      h("code", null, `${match.method || "any"} ${match.path || "everything"}`), times < 0 ? " always" : ` ${times} more`);
  }

  #draw(faults) {
    if (faults.length === 0) {
      this.active.replaceChildren(h("li", { class: "faint" }, "none"));
      return;
    }
    const remove = h("button", { onclick: doing(() => control("DELETE", "faults")) }, "Remove all");
    this.active.replaceChildren(...faults.map((fault) => this.#line(fault)), h("li", null, remove));
  }
}

class Dead extends HTMLElement {
  connectedCallback() {
    this.items = [];
  }

  set items(items) {
    const shown = items.slice(-100).reverse();
    const all = h("button", { onclick: doing(() => this.#retryAll(items)) }, `Retry all (${items.length})`);
    this.replaceChildren(h("h2", null, "Dead letters"), items.length > 0 ? h("p", { class: "actions" }, all)
      : h("p", { class: "empty" }, "None. A message that fails --max-attempts times is set aside here."),
    h("ul", { class: "plainlist" }, shown.map((item) => this.#row(item))));
  }

  #row(item) {
    const choose = () => this.dispatchEvent(new CustomEvent("choose", { detail: { id: item.id }, bubbles: true }));
    return h("li", null,
      h("p", null, h("button", { class: "quiet", onclick: choose }, `Message ${item.n}`), ` from ${senderOf(item)} `,
        h("span", { class: "faint" }, timeOf(item.at))),
      h("p", { class: "words", dir: "auto" }, item.text.slice(0, 200)),
      h("p", { class: "error" }, (item.reason || "").split("\n")[0]), placeOf(item.place),
      h("p", { class: "actions" }, h("button", { onclick: this.#change(item, "retry", "it runs again") }, "Retry"),
        h("button", { onclick: this.#change(item, "drop", "dropped") }, "Drop")));
  }

  #change(item, verb, word) {
    return doing(async () => {
      await request("POST", path(`/messages/${item.id}/${verb}`));
      toast(word);
    });
  }

  async #retryAll(items) {
    for (const item of items) await request("POST", path(`/messages/${item.id}/retry`));
    toast(`${items.length} run again`);
  }
}

const LINES_MAXIMUM = 1000, POLL_MS = 1000;

class Wire extends HTMLElement {
  #last = 0;

  connectedCallback() {
    this.quiet = h("input", { type: "checkbox", checked: true,
      onchange: () => this.list.classList.toggle("quiet", this.quiet.checked) });
    this.list = h("ul", { class: "plainlist wire quiet" });
    this.append(h("h2", null, "Wire"), h("p", null, "What the host sends to the platform, the newest first. ",
      h("label", null, this.quiet, " without polls and heartbeats")), this.list);
  }

  set active(active) {
    clearInterval(this.timer);
    if (active) this.timer = setInterval(() => this.#look(), POLL_MS);
    if (active) this.#look();
  }

  async #look() {
    if (document.hidden || this.asking) return;
    this.asking = true;
    try {
      const { entries, last } = await request("GET", path(`/wire?since=${this.#last}`));
      if (last < this.#last) this.list.replaceChildren();
      this.#last = last;
      for (const entry of entries) this.list.prepend(this.#row(entry));
      while (this.list.children.length > LINES_MAXIMUM) this.list.lastChild.remove();
    } catch {
      // it is asked again
    }
    this.asking = false;
  }

  #row(entry) {
    const body = h("div");
    const usual = /\/activity$/.test(entry.path) || entry.path === "/registry/heartbeat";
    const routine = usual && entry.status === 200 && !entry.fault;
    const status = entry.status === undefined ? "open" : entry.status === 0 ? "no answer" : String(entry.status);
    const show = doing(async (event) => {
      if (!event.target.open || body.firstChild) return;
      const whole = await request("GET", path(`/wire/${entry.n}`));
      const text = `${json({ query: whole.query, headers: whole.headers })}\n\n${pretty(whole.body)}`;
      body.append(h("pre", { class: "block", tabindex: "0" }, text));
    });
    return h("li", { class: routine ? "routine" : null }, h("details", { ontoggle: show }, h("summary", null,
      `${entry.method} ${entry.path.replace(/([0-9a-f]{8})-[0-9a-f-]{27}/g, "$1…")} → `, h("strong", null, status),
      ` ${duration(entry.ms)} `, entry.fault ? h("span", { class: "chip warn" }, entry.fault) : null), body));
  }
}

customElements.define("molecule-faults", Faults);
customElements.define("molecule-dead", Dead);
customElements.define("molecule-wire", Wire);
