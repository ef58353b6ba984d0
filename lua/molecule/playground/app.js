// The page: what is chosen, what is filtered, and who is told.

import { copier, doing, h, placeOf, senderOf, stateOf, timeOf } from "./dom.js";
import { Model } from "./model.js";
import { answerOf, noteOutcome, noteSent, noteUnsent, setOpen } from "./questions.js";
import "./list.js";
import "./what.js";
import "./composer.js";
import "./side.js";
import "./kept.js";
import "./a2a.js";

const model = new Model();
const list = document.querySelector("molecule-list"), what = document.querySelector("molecule-what");
const composer = document.querySelector("molecule-composer"), faults = document.querySelector("molecule-faults");
const dead = document.querySelector("molecule-dead"), wire = document.querySelector("molecule-wire");
const a2a = document.querySelector("molecule-a2a");
const questions = document.querySelector("molecule-questions");
const kept = [document.querySelector("molecule-store"), document.querySelector("molecule-timers")];
const filter = { text: document.getElementById("filter-text"), outcome: document.getElementById("filter-outcome"),
  from: document.getElementById("filter-from") };
const narrow = matchMedia("(max-width: 60rem)");

let chosen = null;     // a message's id; null: the newest
let awaited = null;    // a message that was sent and is not here yet

// --- panes ---

function showPane(name) {
  document.body.dataset.pane = name;
  for (const tab of document.querySelectorAll("nav .tab")) tab.setAttribute("aria-pressed", String(tab.dataset.pane === name));
  wire.active = name === "wire";
  a2a.active = name === "a2a";
  for (const one of kept) one.active = name === "state";
  if (name === "chat") list.toEnd();
}

for (const tab of document.querySelectorAll("nav .tab")) tab.addEventListener("click", () => showPane(tab.dataset.pane));
narrow.addEventListener("change", () => showPane(narrow.matches ? "chat" : "what"));

// --- what is chosen ---

function newest() {
  for (let i = model.items.length - 1; i >= 0; i--) if (model.items[i].kind === "message") return model.items[i].id;
  return null;
}

function choose(id, { reveal = false, open = false } = {}) {
  chosen = id;
  list.select(id, reveal);
  what.show(id);
  if (id && location.hash !== `#${id}`) history.replaceState(null, "", `#${id}`);
  if (open) showPane("what");
}

function follow() {
  chosen = null;
  history.replaceState(null, "", location.pathname);
  list.select(newest());
  what.show(newest());
}

document.addEventListener("choose", (event) => {
  const { id, byKey, wait } = event.detail;
  if (wait && !model.byId.has(id)) {
    awaited = id;
    return;
  }
  choose(id, { reveal: !byKey && event.target !== list, open: !byKey || !narrow.matches });
});

document.addEventListener("sent", (event) => {
  follow();
  list.toEnd();
  awaited = event.detail.id;
});

addEventListener("hashchange", () => {
  const id = location.hash.slice(1);
  if (model.byId.has(id)) choose(id, { reveal: true });
});

// --- the filter ---

const filtering = () => filter.text.value !== "" || filter.outcome.value !== "" || filter.from.value !== "";

function matches(item) {
  const { text, outcome, from } = filter;
  if (outcome.value && (item.kind !== "message" || (item.outcome || item.state) !== outcome.value)) return false;
  if (from.value && (item.kind === "log" || (item.from || item.to || "canvas") !== from.value)) return false;
  return !text.value || item.words.includes(text.value.toLowerCase());
}

function showItems() {
  const visible = model.items.filter((item) => !item.claimed && (!filtering() || matches(item)));
  list.items = visible;
  list.empty.textContent = filtering() ? "Nothing matches." : "Say something to your agent.";
  document.getElementById("filter-count").textContent = filtering() ? `${visible.length} of ${model.items.length}` : "";
}

function fill(select, options) {
  const value = select.value;
  select.replaceChildren(...options.map(([key, word]) => h("option", { value: key }, word)));
  select.value = options.some(([key]) => key === value) ? value : "";
}

fill(filter.outcome, [["", "any"], ...["replied", "no_reply", "skipped", "dead", "canceled", "waiting", "running", "retrying",
  "asleep"].map((key) => [key, stateOf({ outcome: key }).word])]);
for (const field of Object.values(filter)) field.addEventListener("input", showItems);
document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());

// --- the script, the connection ---

function showScript(status) {
  const place = document.getElementById("script"), problem = document.getElementById("problem");
  const name = status.script ? status.script.split("/").pop() : "the backend";
  const version = status.script_version > 0 ? `version ${status.script_version}` : "loading";
  const words = status.down ? "the host is down" : status.problem ? `${version} of ${name} keeps answering` : `${name} · ${version} answers`;
  place.className = status.problem || status.down ? "bad" : status.script_version > 0 ? "good" : "busy";
  if (place.textContent !== words) place.textContent = words;
  place.title = `${status.script || ""} since ${timeOf(status.at)}`;
  problem.hidden = !status.problem;
  problem.replaceChildren();
  if (!status.problem) return;
  problem.append(h("p", null, h("strong", null, `${name} does not load. `), status.problem.split("\n")[0]));
  if (status.place) problem.append(placeOf(status.place));
  if (!status.script || status.place) return;
  problem.append(h("button", { class: "quiet small", onclick: copier(status.script, "the path") }, "copy the path"));
}

function showStatus(status) {
  showScript(status);
  const peers = status.peers.map((peer) => [peer.id, peer.name]);
  const key = JSON.stringify(peers);
  if (showStatus.key !== key) {
    showStatus.key = key;
    fill(filter.from, [["", "anyone"], ["canvas", "canvas"], ...peers]);
    what.peers = status.peers;
    composer.status = status;
    what.refresh();
  }
  faults.status = status;
  a2a.version = status.script_version;
  const count = document.getElementById("fault-count");
  count.hidden = status.faults.length === 0;
  count.textContent = String(status.faults.length);
}

model.addEventListener("connection", () => {
  const place = document.getElementById("connection");
  place.textContent = model.connected ? "" : "disconnected; is molecule dev running?";
});

// --- what changes ---

function announceQuestions() {
  const before = announceQuestions.known || new Set();
  announceQuestions.known = new Set(model.questions.map(({ code }) => code));
  const fresh = model.questions.find(({ code }) => !before.has(code));
  if (!fresh || !model.whole) return;
  document.getElementById("announcer").textContent = `Question ${fresh.code}: ${fresh.text.slice(0, 200)}`;
}

function showQuestions() {
  const count = document.getElementById("question-count");
  questions.show(model.questions, (id) => model.byId.get(id)?.n);
  count.hidden = model.questions.length === 0;
  count.textContent = String(model.questions.length);
  count.title = "open questions";
}

// A choice in the conversation: sent as a human would.
document.addEventListener("answer", doing(async (event) => {
  const { code, choice } = event.detail;
  noteSent(code, "");
  showItems();
  try {
    const id = await composer.say(answerOf(code, choice));
    noteSent(code, id);
    noteOutcome(model.byId.get(id)); // which may be known already
  } catch (error) {
    noteUnsent(code);
    throw error;
  } finally {
    showItems();
  }
}));

const isDead = (item) => item.outcome === "dead" && !item.dropped;

function showDead() {
  const letters = model.items.filter(isDead), count = document.getElementById("dead-count");
  const key = letters.map((item) => item.n).join();
  if (showDead.key === key) return;
  showDead.key = key;
  dead.items = letters;
  count.hidden = letters.length === 0;
  count.textContent = String(letters.length);
}

function announce(item) {
  if (!item.outcome || Date.now() - item.at > 60000) return;
  const words = item.reply ? item.reply.text.slice(0, 200) : item.reason || "";
  document.getElementById("announcer").textContent = `Message ${item.n} from ${senderOf(item)}: ${stateOf(item).word}. ${words}`;
}

function arrive() {
  const hash = location.hash.slice(1);
  if (awaited && model.byId.has(awaited)) {
    const id = awaited, sent = chosen === null;
    awaited = null;
    if (!sent) choose(id, { reveal: true });
    return;
  }
  if (hash && chosen === null && model.whole && model.byId.has(hash)) choose(hash, { reveal: true });
}

model.addEventListener("change", (event) => {
  const { fresh } = event.detail;
  if (model.status && fresh.has(model.status)) showStatus(model.status);
  for (const item of fresh) noteOutcome(item);
  setOpen(model.questions);
  showItems();
  showQuestions();
  showDead();
  arrive();
  if (chosen === null && newest() !== what.id) {
    list.select(newest());
    what.show(newest());
  }
  for (const item of fresh) {
    if (item.id && item.id === what.id) what.refresh();
    if (model.whole && item.kind === "message") announce(item);
    if (item.kind === "questions") announceQuestions();
  }
});

// --- keys ---

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    filter.text.focus();
  } else if (event.key === "Escape" && !event.target.closest("dialog, .editor")) {
    if (event.target === filter.text && filter.text.value) {
      filter.text.value = "";
      showItems();
    } else {
      composer.focus();
    }
  }
});

showPane(narrow.matches ? "chat" : "what");
model.start();
if (!narrow.matches) composer.focus();
