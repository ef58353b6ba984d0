// The small part of Markdown that agents write, as elements: paragraphs, headings, lists, code, bold, italics, links to http and
// https. Everything else stays the text that it is; nothing becomes markup.

import { h } from "./dom.js";

const LENGTH_MAXIMUM = 20000; // beyond, a text is shown as it is

const URL_TEXT = /https?:\/\/[^\s()<>"'`\]]{1,2000}[^\s()<>"'`\].,;:!?]/.source;
const INLINE = new RegExp([
  /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/.source,                             // `code`
  /\*\*(?=\S)([\s\S]*?\S)\*\*|__(?=\S)([\s\S]*?\S)__/.source,               // **bold**
  /\*(?=\S)([^*\n]*?\S)\*|\b_(?=\S)([^_\n]*?\S)_\b/.source,                  // *italic*
  /\[([^\]\n]{1,500})\]\((https?:\/\/[^\s()<>"]{1,2000})\)/.source,          // [text](address)
  `(${URL_TEXT})`,
].join("|"));

function link(text, href) {
  const shown = text === href ? null : h("span", { class: "href" }, ` ${new URL(href).host}`);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, text, shown);
}

function safeLink(text, href) {
  try {
    return link(text, href);
  } catch {
    return text; // no URL after all
  }
}

function inline(text, depth) {
  const result = [];
  let rest = text;
  for (let match; depth < 6 && (match = INLINE.exec(rest)); rest = rest.slice(match.index + match[0].length)) {
    if (match.index > 0) result.push(rest.slice(0, match.index));
    const [, , code, bold, bold2, italic, italic2, label, href, url] = match;
    if (code !== undefined) result.push(h("code", null, code));
    else if (bold || bold2) result.push(h("strong", null, inline(bold || bold2, depth + 1)));
    else if (italic || italic2) result.push(h("em", null, inline(italic || italic2, depth + 1)));
    else if (href) result.push(safeLink(label, href));
    else result.push(safeLink(url, url));
  }
  if (rest) result.push(rest);
  return result;
}

const FENCE = /^ {0,3}(```+|~~~+)/, HEADING = /^(#{1,6})\s+(.*)$/;
const BULLET = /^\s*[-*+]\s+(.*)$/, NUMBERED = /^\s*(\d{1,9})[.)]\s+(.*)$/;

function takeFence(lines, at, fence) {
  const code = [];
  let i = at + 1;
  while (i < lines.length && !lines[i].trimStart().startsWith(fence)) code.push(lines[i++]);
  return [h("pre", { tabindex: "0" }, h("code", null, code.join("\n"))), i + 1];
}

function takeList(lines, at, pattern, tag) {
  const items = [];
  const first = pattern.exec(lines[at]);
  let i = at;
  for (let match; i < lines.length && (match = pattern.exec(lines[i])); i++) {
    items.push(h("li", null, inline(match[match.length - 1], 0)));
  }
  return [h(tag, tag === "ol" ? { start: first[1] } : null, items), i];
}

const begins = (line) => FENCE.test(line) || HEADING.test(line) || BULLET.test(line) || NUMBERED.test(line) || line.trim() === "";

function takeParagraph(lines, at) {
  const words = [lines[at]];
  let i = at + 1;
  while (i < lines.length && !begins(lines[i])) words.push(lines[i++]);
  return [h("p", null, inline(words.join("\n"), 0)), i];
}

export function markdown(text) {
  const place = h("div", { class: "markdown", dir: "auto" });
  if (text.length > LENGTH_MAXIMUM) {
    place.append(h("p", null, text));
    return place;
  }
  const lines = text.split(/\r?\n/);
  for (let i = 0, block; i < lines.length;) {
    const fence = FENCE.exec(lines[i]), heading = HEADING.exec(lines[i]);
    if (lines[i].trim() === "") {
      i++;
      continue;
    }
    if (fence) [block, i] = takeFence(lines, i, fence[1]);
    else if (heading) [block, i] = [h("p", { class: "heading" }, inline(heading[2], 0)), i + 1];
    else if (BULLET.test(lines[i])) [block, i] = takeList(lines, i, BULLET, "ul");
    else if (NUMBERED.test(lines[i])) [block, i] = takeList(lines, i, NUMBERED, "ol");
    else [block, i] = takeParagraph(lines, i);
    place.append(block);
  }
  return place;
}
