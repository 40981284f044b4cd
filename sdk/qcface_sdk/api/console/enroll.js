// Pictures are judged as soon as they are chosen; the button sends them only when the person wants to.
import { request } from "./request.js";
import { element, make, meter, say, show } from "./page.js";

let gate = 0;

export function start(about) {
  gate = about.enroll_below;
  element("pictures").addEventListener("change", () => show(judge));
  element("enroll-form").addEventListener("submit", (event) => {
    event.preventDefault();
    show(enroll);
  });
}

export function enter() {
  element("subject").focus();
}

async function judge() {
  const files = [...element("pictures").files];
  element("previews").replaceChildren();
  for (const file of files) element("previews").append(await preview(file));
}

async function preview(file) {
  const item = make("li");
  const picture = make("img");
  picture.alt = file.name;
  picture.src = URL.createObjectURL(file);
  picture.addEventListener("load", () => URL.revokeObjectURL(picture.src));
  item.append(picture, make("b", file.name));
  try {
    const body = new FormData();
    body.append("image", file);
    const { faces } = await request("faces", { method: "POST", body });
    verdict(item, faces);
  } catch (error) {
    item.className = "reject";
    item.append(make("small", error.message));
  }
  return item;
}

function verdict(item, faces) {
  if (faces.length !== 1) {
    item.className = "reject";
    item.append(make("small", faces.length ? `${faces.length} faces; one is wanted` : "no face found"));
    return;
  }
  const [face] = faces;
  item.className = face.enough_to_enroll ? "accept" : "retry";
  item.append(meter(face.quality, gate));
  item.append(make("small", `quality ${face.quality.toFixed(0)} of 100, ${gate.toFixed(0)} is wanted`));
  for (const advice of face.advice) item.append(make("small", advice));
}

async function enroll() {
  const button = element("enroll-button");
  const body = new FormData();
  body.append("subject", element("subject").value);
  body.append("force", element("force").checked);
  for (const file of element("pictures").files) body.append("image", file);
  button.disabled = true;
  try {
    const receipt = await request("subjects", { method: "POST", body });
    const warned = receipt.warnings.length ? ` Note: ${receipt.warnings.join("; ")}` : "";
    element("enroll-form").reset();
    element("previews").replaceChildren();
    say(`Enrolled ${receipt.subject} with ${receipt.templates} template(s).${warned}`, "good");
  } finally {
    button.disabled = false;
  }
}
