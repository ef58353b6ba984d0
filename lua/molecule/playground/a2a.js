// The agent as A2A clients and the platform see it: its card, and what they asked the host, as it is on the wire.

import { copier, doing, duration, h, json, path, pretty, request, timeOf } from "./dom.js";

const LINES_MAXIMUM = 1000, POLL_MS = 1000;
const FORMS = [["all", "For clients of 1.0 and of 0.3", "molecule serve"],
  ["only_1_0", "With the words of 1.0 alone", "molecule serve --card 1.0"]];

const pathOf = (url) => url.replace(/^\w+:\/\/[^/]*/, "").replace(/\?.*/s, "");

const note = ({ pushed, served }) => (pushed ? "What the platform posts to the host, the newest first. The secret is left out."
  : served ? "What A2A clients ask the host, the newest first. Tokens are left out."
    : "In poll mode the host fetches its messages. molecule dev --mode push posts them to it, and shows that here, "
      + "and --listen 127.0.0.1:8090 lets A2A clients ask it.");

const block = (text, label) => h("pre", { class: "block", tabindex: "0", "aria-label": label }, text);

class A2a extends HTMLElement {
  #last = 0;
  #shown = 0; // the script's version whose card is shown
  #version = 1;
  #active = false;

  connectedCallback() {
    this.card = h("div");
    this.note = h("p");
    this.list = h("ul", { class: "plainlist wire" });
    this.append(h("h2", null, "A2A"), h("h3", null, "Agent card"), this.card, h("h3", null, "Exchanges"), this.note, this.list);
  }

  // The card may be another one now.
  set version(version) {
    this.#version = version;
    if (this.#active) this.#look();
  }

  set active(active) {
    this.#active = active;
    clearInterval(this.timer);
    if (active) this.timer = setInterval(() => this.#look(), POLL_MS);
    if (active) this.#look();
  }

  async #look() {
    if (document.hidden || this.asking) return;
    this.asking = true;
    try {
      const told = await request("GET", path(`/a2a?since=${this.#last}`));
      const { entries, last } = told;
      if (last < this.#last) this.list.replaceChildren();
      this.#last = last;
      this.note.textContent = note(told);
      for (const entry of entries) this.list.prepend(this.#row(entry));
      while (this.list.children.length > LINES_MAXIMUM) this.list.lastChild.remove();
      if (this.#shown !== this.#version) await this.#showCard(this.#version);
    } catch {
      // it is asked again
    }
    this.asking = false;
  }

  async #showCard(version) {
    try {
      const cards = await request("GET", path("/card"));
      this.card.replaceChildren(...FORMS.map(([form, words, command]) => h("details", { open: form === "all" },
        h("summary", null, `${words} `, h("code", null, command)),
        h("p", { class: "actions" },
          h("button", { class: "quiet small", onclick: copier(json(cards[form]), "the card") }, "Copy")),
        block(json(cards[form]), words))));
      this.#shown = version;
    } catch (error) {
      this.card.replaceChildren(h("p", { class: "error" }, error.message));
    }
  }

  #row(entry) {
    const body = h("div");
    const answer = entry.status === undefined ? "no answer" : String(entry.status);
    const show = doing(async (event) => {
      if (!event.target.open || (body.firstChild && !entry.streams)) return;
      const whole = await request("GET", path(`/a2a/${entry.n}`));
      body.replaceChildren(h("p", null, `${whole.method} ${whole.url}`), block(whole.headers.join("\n"), "Headers"),
        whole.body ? block(pretty(whole.body), "Request") : "", h("p", null, `Answer: ${whole.problem || whole.status}`),
        whole.answer ? block(pretty(whole.answer), "Answer") : "",
        whole.cut ? h("p", { class: "faint" }, "Only the beginning is kept.") : "");
    });
    return h("li", null, h("details", { ontoggle: show }, h("summary", null, h("span", { class: "faint" }, timeOf(entry.at)),
      entry.pushed ? " pushed → " : ` ${entry.method} ${pathOf(entry.url)} → `,
      h("strong", null, answer), entry.streams ? " stream " : ` ${duration(entry.ms)} `,
      entry.again ? h("span", { class: "chip warn" }, "is posted again") : null), body));
  }
}

customElements.define("molecule-a2a", A2a);
