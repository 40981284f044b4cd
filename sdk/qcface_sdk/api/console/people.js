// Everybody enrolled, a page at a time; removing asks first and shows the receipt.
import { request } from "./request.js";
import { element, make, row, say, show } from "./page.js";

let next = null;
let mayRemove = false;

export function start(about) {
  mayRemove = about.role === "admin";
  element("more-people").addEventListener("click", () => show(more));
}

export async function enter() {
  element("people-rows").replaceChildren();
  element("receipt").hidden = true;
  next = null;
  await more();
}

async function more() {
  const after = next === null ? "" : `?after=${encodeURIComponent(next)}`;
  const page = await request(`subjects${after}`);
  element("people-count").textContent = `${page.total} enrolled`;
  element("people-rows").append(...page.subjects.map(person));
  next = page.next;
  element("more-people").hidden = next === null;
}

function person(subject) {
  const cell = make("td", "", "action");
  if (mayRemove) {
    const button = make("button", "Remove", "danger");
    button.type = "button";
    button.addEventListener("click", () => show(() => remove(subject)));
    cell.append(button);
  }
  return row([subject, cell]);
}

async function remove(subject) {
  if (!confirm(`Remove ${subject} and all their templates? This cannot be undone.`)) return;
  const answer = await request(`subjects/${encodeURIComponent(subject)}`, { method: "DELETE" });
  await enter();
  element("receipt").textContent = JSON.stringify(answer.receipt, null, 2);
  element("receipt").hidden = false;
  say(`Removed ${answer.subject}. The receipt is below; keep it if you must prove the deletion.`, "good");
}
