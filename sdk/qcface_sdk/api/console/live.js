// The newest frame of a door, twice a second while the tab is open, with boxes, quality and decision.
import { request, send } from "./request.js";
import { element, make, meter, say, words } from "./page.js";

const PERIOD_MS = 500;
let timer = 0;
let gate = 0;
const colours = () => {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { accept: of("--accept"), retry: of("--retry"), reject: of("--reject"), open: of("--accent") };
};

export function start(about) {
  gate = about.retry_below;
}

export async function enter() {
  const { doors } = await request("doors");
  const select = element("door");
  const chosen = select.value;
  select.replaceChildren(...doors.map((name) => Object.assign(make("option", name), { value: name })));
  if (doors.includes(chosen)) select.value = chosen;
  element("no-doors").hidden = doors.length > 0;
  select.parentElement.hidden = doors.length === 0;
  element("view").hidden = doors.length === 0;
  if (doors.length) await tick();
}

export const leave = () => clearTimeout(timer);

async function tick() {
  clearTimeout(timer);
  try {
    await draw(element("door").value);
    say("");
  } catch (error) {
    say(error.message, "bad");
  }
  if (!element("live").hidden) timer = setTimeout(tick, PERIOD_MS);
}

async function draw(door) {
  const path = `doors/${encodeURIComponent(door)}`;
  const state = await request(`${path}/live`);
  element("door-state").textContent = state.running ? words(state.state) : "no picture";
  element("live-faces").replaceChildren(...state.faces.map(card));
  if (!state.running) return;
  const picture = await createImageBitmap(await (await send(`${path}/frame.jpg`)).blob());
  const canvas = element("view");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  picture.close();
  const scale = canvas.width / state.width;
  const colour = colours();
  context.font = "600 14px system-ui";
  context.lineWidth = 2;
  for (const face of state.faces) {
    const [x1, y1, x2, y2] = face.bbox.map((value) => value * scale);
    context.strokeStyle = context.fillStyle = colour[face.outcome ?? "open"];
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.fillText(face.label || `#${face.track}`, x1, Math.max(14, y1 - 5));
  }
}

function card(face) {
  const item = make("li", "", face.outcome ?? "");
  item.append(make("b", face.label || "unknown"), make("small", `track ${face.track} · ${face.outcome ?? "looking"}`));
  item.append(meter(face.quality, gate));
  return item;
}
