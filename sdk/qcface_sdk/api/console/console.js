// The console: what a browser may ask of the API, with the key in a header and nothing kept but in this tab.
import { request, setKey, hasKey } from "./request.js";
import { element, say, show } from "./page.js";
import * as live from "./live.js";
import * as enroll from "./enroll.js";
import * as people from "./people.js";
import * as events from "./events.js";
import * as thresholds from "./thresholds.js";

const TABS = { live, enroll, people, events, thresholds };
let current = null;

async function open(name) {
  if (current) TABS[current].leave?.();
  current = name;
  say("");
  for (const tab of Object.keys(TABS)) element(tab).hidden = tab !== name;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.tab === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  await show(() => TABS[name].enter());
}

async function signIn() {
  await show(async () => {
    const about = await request("about");
    element("sign-in").hidden = true;
    for (const id of ["tabs", "health", "sign-out"]) element(id).hidden = false;
    document.querySelector('[data-tab="enroll"]').hidden = about.role === "read";
    for (const tab of Object.values(TABS)) tab.start?.(about);
    await watchHealth();
    await open("live");
  });
}

async function watchHealth() {
  const pill = element("health");
  try {
    const { status } = await (await fetch("/health", { cache: "no-store" })).json();
    pill.textContent = status;
    pill.className = `pill ${status}`;
  } catch {
    pill.textContent = "unreachable";
    pill.className = "pill degraded";
  }
}

element("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(element("key").value.trim());
  element("key").value = "";
  signIn();
});
element("sign-out").addEventListener("click", () => {
  setKey("");
  location.reload();
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => open(button.dataset.tab));
}
setInterval(() => hasKey() && watchHealth(), 5000);
if (hasKey()) signIn();
