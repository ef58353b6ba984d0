// Small helpers: elements, times, requests. Text reaches the page as text nodes alone.

const BASE = "/__emulator/playground";

// An element: h("button", { class: "quiet", onclick: f, "aria-label": "…" }, "text", child, …). A property that is null or
// false is left out.
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "open") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function path(rest) {
  return BASE + rest;
}

export async function request(method, url, body) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.headers["Content-Type"] = "application/octet-stream";
    options.body = body;
  } else if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body || {});
  }
  const answer = await fetch(url, options);
  const text = await answer.text();
  let value = text;
  if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) value = JSON.parse(text);
  if (!answer.ok) throw new Error((value && value.error) || `the emulator answered ${answer.status}`);
  return value;
}

export const control = (method, name, body) => request(method, "/__emulator/" + name, body);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const timeOf = (ms) => clock.format(new Date(ms));

const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// With its day, where that is another than today.
export function whenOf(ms) {
  return new Date(ms).toDateString() === new Date().toDateString() ? timeOf(ms) : calendar.format(new Date(ms));
}

export function duration(ms) {
  if (ms === undefined || ms === null) return "";
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  if (bytes === undefined || bytes === null) return "";
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

export function json(value) {
  return JSON.stringify(value, null, 2);
}

// A text that may be JSON, indented if it is.
export function pretty(text) {
  try {
    return json(JSON.parse(text));
  } catch {
    return text;
  }
}

// Says something in a corner for a moment, and to screen readers.
export function toast(text, problem) {
  const place = document.getElementById("toasts");
  const note = h("p", { class: problem ? "toast problem" : "toast" }, text);
  place.append(note);
  setTimeout(() => note.remove(), problem ? 8000 : 2500);
}

// Wraps what a button does: a failure is shown.
export function doing(action) {
  return async (event) => {
    try {
      await action(event);
    } catch (error) {
      toast(error.message, true);
    }
  };
}

export const copier = (text, what) => doing(async () => {
  await navigator.clipboard.writeText(typeof text === "function" ? await text() : text);
  toast(`copied ${what}`);
});

const WORDS = { waiting: "waiting", running: "running", sending: "sending the reply", retrying: "retrying", asleep: "asleep",
  replied: "replied", no_reply: "no reply", skipped: "skipped", dead: "dead letter", canceled: "canceled", answer: "answer" };

// What has become of a message so far, as a word and as a class of words.
export function stateOf(item) {
  const key = item.outcome || item.state;
  const word = item.dropped ? "dropped" : WORDS[key] || key;
  const kind = key === "dead" ? "bad" : key === "replied" ? "good" : item.outcome ? "calm" : key === "retrying" ? "warn" : "busy";
  return { word, kind };
}

export function chip(item) {
  const { word, kind } = stateOf(item);
  const took = item.took_ms !== undefined && item.outcome ? ` · ${duration(item.took_ms)}` : "";
  return h("span", { class: `chip ${kind}` }, word, took);
}

export const senderOf = (item) => (item.client ? `${item.from} (A2A)` : item.from ? item.from_name || item.from : "canvas");

// A hue for each peer; the same for the same id.
export function hueOf(id) {
  let hash = 0;
  for (const character of id || "") hash = (hash * 31 + character.charCodeAt(0)) % 12;
  return id ? `lane-${hash}` : "lane-canvas";
}

export function fileLink(item, file, number, of) {
  const label = [file.name || file.uri || "file", file.size !== undefined ? ` (${size(file.size)})` : ""];
  if (!file.here) {
    return h("a", { class: "file", href: file.uri, target: "_blank", rel: "noopener noreferrer" }, ...label);
  }
  const href = path(`/messages/${item.id}/files/${number}${of ? `?of=${of}` : ""}`);
  return h("a", { class: "file", href, download: file.name || "file" }, ...label);
}

export function filesOf(item, files, of) {
  if (!files || files.length === 0) return null;
  return h("p", { class: "files" }, files.map((file, i) => fileLink(item, file, i + 1, of)));
}

// Where an error is: file, line, and the line itself.
export function placeOf(place) {
  if (!place) return null;
  const where = `${place.file}:${place.line}`;
  return h("div", { class: "place" },
    h("span", { class: "where" }, where), " ",
    h("button", { class: "quiet small", onclick: copier(where, where), "aria-label": `copy ${where}` }, "copy"),
    place.source !== undefined && h("pre", { class: "source", tabindex: "0" },
      h("span", { class: "number" }, `${place.line} `), place.source));
}
