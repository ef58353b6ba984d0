// Where one writes: as the human in the canvas or as a peer, with files.

import { control, doing, h, path, request, size, toast } from "./dom.js";

class Composer extends HTMLElement {
  #workspace = null;
  #files = [];

  connectedCallback() {
    this.text = h("textarea", { rows: 2, placeholder: "Message to the agent", "aria-label": "Message to the agent", dir: "auto",
      onkeydown: (event) => this.#key(event), oninput: () => this.#fit(), onpaste: (event) => this.#paste(event) });
    this.as = h("select", { "aria-label": "Speak as", onchange: () => this.#chosen() });
    this.input = h("input", { type: "file", multiple: true, class: "hidden", "aria-label": "Attach files", tabindex: "-1",
      onchange: () => {
        this.#attach([...this.input.files]);
        this.input.value = "";
      } });
    this.list = h("ul", { class: "files" });
    this.dialog = this.#peerDialog();
    this.append(h("form", { onsubmit: doing((event) => {
      event.preventDefault();
      return this.#send();
    }) }, this.list, this.text, h("p", { class: "actions" }, h("label", null, "as ", this.as),
      h("button", { type: "button", class: "quiet", onclick: () => this.input.click() }, "Attach"), this.input,
      h("span", { class: "hint faint" }, "Enter sends, Shift+Enter breaks the line, drop files anywhere"),
      h("button", { type: "submit", class: "primary" }, "Send"))), this.dialog);
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#attach([...event.dataTransfer.files]);
    });
    this.#peers([]);
  }

  set status(status) {
    this.#workspace = status.workspace;
    this.#peers(status.peers);
  }

  focus() {
    this.text.focus();
  }

  // As the human in the canvas, whoever is chosen. The message's id.
  async say(text) {
    return this.#post([{ kind: "text", text }]);
  }

  async #post(parts, from) {
    const { ids } = await control("POST", "messages", { to: this.#workspace, parts, from });
    this.dispatchEvent(new CustomEvent("sent", { detail: { id: ids[0] }, bubbles: true }));
    return ids[0];
  }

  #peers(peers) {
    const chosen = this.wanted || this.as.value || "canvas";
    const options = [h("option", { value: "canvas" }, "canvas (the human)"),
      ...peers.map((peer) => h("option", { value: peer.id }, peer.name)), h("option", { value: "new" }, "a new peer…")];
    this.as.replaceChildren(...options);
    const known = options.some((option) => option.value === chosen);
    this.as.value = known ? chosen : "canvas";
    if (known && this.wanted) this.wanted = null;
    this.before = this.as.value;
  }

  #peerDialog() {
    const name = h("input", { required: true, maxlength: 80, autocomplete: "off" });
    const create = doing(async (event) => {
      event.preventDefault();
      const peer = await control("POST", "workspaces", { name: name.value.trim() });
      this.wanted = peer.id;
      name.value = "";
      dialog.close();
    });
    const dialog = h("dialog", { "aria-label": "A new peer", onclose: () => this.focus() },
      h("form", { method: "dialog", onsubmit: create }, h("label", null, "Name of the peer ", name),
        h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Create"),
          h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"))));
    return dialog;
  }

  #chosen() {
    if (this.as.value !== "new") {
      this.before = this.as.value;
      return;
    }
    this.as.value = this.before;
    this.dialog.showModal();
  }

  #attach(files) {
    this.#files.push(...files);
    this.#drawFiles();
  }

  #drawFiles() {
    const remove = (i) => () => {
      this.#files.splice(i, 1);
      this.#drawFiles();
    };
    this.list.replaceChildren(...this.#files.map((file, i) => h("li", null, `${file.name} (${size(file.size)}) `,
      h("button", { type: "button", class: "quiet small", "aria-label": `remove ${file.name}`, onclick: remove(i) }, "remove"))));
  }

  #paste(event) {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    this.#attach(files);
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.querySelector("form").requestSubmit();
  }

  #fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 240)}px`;
  }

  async #send() {
    const text = this.text.value, files = this.#files, from = this.as.value;
    if ((text.trim() === "" && files.length === 0) || !this.#workspace) return;
    const sender = from === "canvas" ? "" : `&from=${from}`;
    const parts = text.trim() === "" ? [] : [{ kind: "text", text }];
    this.text.value = "";
    this.#files = [];
    this.#drawFiles();
    this.#fit();
    try {
      for (const file of files) {
        const { part } = await request("POST", path(`/files?name=${encodeURIComponent(file.name)}${sender}`), file);
        parts.push(part);
      }
      await this.#post(parts, from === "canvas" ? undefined : from);
    } catch (error) {
      this.text.value = [text, this.text.value].filter((each) => each !== "").join("\n"); // and what was typed meanwhile
      this.#files = [...files, ...this.#files];
      this.#drawFiles();
      this.#fit();
      toast(error.message, true);
    }
  }
}

customElements.define("molecule-composer", Composer);
