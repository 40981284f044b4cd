// Small pieces that every tab uses. Text goes in as text, never as HTML: names come from outside.
export const element = (id) => document.getElementById(id);

export function say(text, kind = "") {
  const message = element("message");
  message.textContent = text;
  message.className = kind;
}

export async function show(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, "bad");
    return undefined;
  }
}

export function make(tag, text = "", className = "") {
  const node = document.createElement(tag);
  if (text !== "") node.textContent = text;
  if (className) node.className = className;
  return node;
}

export function row(values) {
  const line = make("tr");
  for (const value of values) line.append(value instanceof Node ? value : make("td", value));
  return line;
}

export function meter(quality, enough) {
  const bar = make("meter");
  Object.assign(bar, { min: 0, max: 100, low: enough, high: enough, optimum: 100, value: quality ?? 0 });
  bar.title = quality === null ? "not measured" : `quality ${quality.toFixed(0)} of 100`;
  return bar;
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;
export const words = (name) => name.replaceAll("_", " ");
