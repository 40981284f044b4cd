// What a false-match rate costs: the measured table, and any rate between its rows.
import { request } from "./request.js";
import { element, percent, row, show } from "./page.js";

let about = null;
let waiting = 0;

export function start(known) {
  about = known;
  const { model, model_version: version, backend, precision, contract } = about;
  element("model-line").textContent = `${model} ${version}, ${precision} on ${backend}, contract ${contract}`;
  const supported = about.thresholds.filter((line) => line.supported).map((line) => Math.log10(line.fmr));
  const slider = element("fmr");
  slider.min = Math.min(...supported);
  slider.max = Math.max(...supported);
  slider.value = Math.max(slider.min, -4);
  slider.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show(explore), 60);
  });
  element("fmr-form").addEventListener("submit", (event) => event.preventDefault());
}

export async function enter() {
  about = await request("about");
  element("threshold-rows").replaceChildren(...about.thresholds.map(line));
  await explore();
}

function line(one) {
  const [low, high] = one.interval;
  const interval = `${low.toFixed(3)} to ${high.toFixed(3)}`;
  const counts = one.impostors.toLocaleString();
  const rate = one.fmr.toExponential(0);
  return row([rate, one.threshold.toFixed(3), interval, percent(one.fnmr), counts, one.supported ? "yes" : "no"]);
}

async function explore() {
  const slider = element("fmr");
  const rate = Math.min(10 ** slider.max, Math.max(10 ** slider.min, 10 ** Number(slider.value)));
  const one = await request(`threshold?fmr=${rate}`);
  element("one-in").textContent = Math.round(1 / rate).toLocaleString();
  element("fmr-threshold").textContent = one.threshold.toFixed(3);
  element("fmr-fnmr").textContent = percent(one.fnmr);
  element("fmr-gallery").textContent = percent(1 - (1 - rate) ** about.subjects);
  element("threshold-origin").textContent = one.origin;
}
