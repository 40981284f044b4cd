// What happened at the doors, newest first.
import { request } from "./request.js";
import { element, make, row, show, words } from "./page.js";

let oldest = null;

export function start() {
  element("reload-events").addEventListener("click", () => show(enter));
  element("more-events").addEventListener("click", () => show(more));
}

export async function enter() {
  element("event-rows").replaceChildren();
  oldest = null;
  await more();
}

async function more() {
  const before = oldest === null ? "" : `&before=${encodeURIComponent(oldest)}`;
  const { events } = await request(`events?limit=50${before}`);
  element("event-rows").append(...events.map(line));
  oldest = events.length ? events.at(-1).id : oldest;
  element("more-events").hidden = events.length < 50;
}

function line(event) {
  const what = make("td", event.outcome ?? words(event.kind), event.outcome ?? "");
  const quality = event.quality === null || event.quality === undefined ? "" : event.quality.toFixed(0);
  const why = [...event.reasons.map(words), event.advice, event.message].filter(Boolean).join(", ");
  const time = new Date(event.time).toLocaleString();
  return row([time, event.door ?? "", what, event.subject ?? "", quality, why, words(event.liveness ?? "")]);
}
