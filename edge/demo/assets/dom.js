// The little of the DOM that every part of the page needs.

/**
 * The element with that id. The page's HTML has it.
 * @param {string} id
 * @returns {any}
 */
export const $ = (id) => document.getElementById(id);

/**
 * A new element. Text is set as text, never as HTML: it comes from strangers.
 * @param {string} tag
 * @param {{ class?: string, text?: string }} [options]
 * @param {...Node} children
 */
export function element(tag, options = {}, ...children) {
  const e = document.createElement(tag);
  if (options.class) e.className = options.class;
  if (options.text !== undefined) e.textContent = options.text;
  e.append(...children);
  return e;
}

/**
 * Says how something went, for eyes and screen readers.
 * @param {string} id
 * @param {string} text
 * @param {boolean} [bad]
 */
export function note(id, text, bad = false) {
  const e = $(id);
  e.textContent = text;
  e.classList.toggle("bad", bad);
}

/** Removes the oldest children of `parent` beyond `limit`. */
export function trim(parent, limit) {
  while (parent.childElementCount > limit) parent.firstElementChild.remove();
}

/** Hours, minutes and seconds of now. */
export const clock = () => new Date().toLocaleTimeString([], { hour12: false });

/** Data as it is shown in one line. */
export function show(data) {
  if (data instanceof Uint8Array) return `${data.length} bytes`;
  return typeof data === "string" ? data : JSON.stringify(data) ?? "";
}
