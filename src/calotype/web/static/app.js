// The page: a picture comes in, goes through every codec at one size, and is shown.

import { Refused, ask, send } from "./api.js";
import { decodeFile } from "./decoding.js";
import { bytes, meaning, position, sizeAt } from "./sizes.js";
import { Stage } from "./stage.js";

const element = (id) => document.getElementById(id);
const TITLES = { original: "Original", calotype: "Calotype", jpeg: "JPEG", webp: "WebP", avif: "AVIF" };
const NAMES = Object.keys(TITLES);
let baselines = ["jpeg", "webp", "avif"]; // those that the server has
const SETTLED = 350;

const stage = new Stage();
const tiles = new Map();
const chosen = { left: "original", right: "calotype" };
const results = new Map(); // name -> {url, blob, note}
let limits = null; // what GET info says
let opened = null; // {file, stem}
let marks = false; // whether Calotype's picture is marked where it is uncertain
let prepared = null; // {blob, width, height, remark}
let running = new AbortController();
let settling = 0;

// What is shown

function complain(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refused)) console.error(error);
  element("error").textContent = error instanceof Refused ? error.message : "This page has failed. Please reload it.";
  element("error").hidden = false;
  progress(0, "");
}

function progress(percent, text) {
  const bar = element("progress");
  bar.style.setProperty("--done", percent);
  bar.setAttribute("aria-valuenow", Math.round(percent));
  element("status").textContent = text;
}

function put(name, blob, note = "") {
  const old = results.get(name);
  if (old) URL.revokeObjectURL(old.url);
  if (blob) results.set(name, { url: URL.createObjectURL(blob), blob, note });
  else results.delete(name);
}

function drawTile(name, size, busy) {
  const result = results.get(name);
  const { button, image, count, note } = tiles.get(name);
  if (result) image.src = result.url;
  else image.removeAttribute("src");
  button.classList.toggle("busy", busy);
  button.setAttribute("aria-busy", busy);
  button.disabled = !result;
  if (!busy && result) count.textContent = size;
  else count.textContent = busy ? "working …" : "";
  note.textContent = busy || !result ? "" : result.note;
  drawSides();
}

function drawSides() {
  for (const side of ["left", "right"]) {
    const name = chosen[side];
    const pending = !results.has(name); // until it is there the original stands in, dimmed
    const shown = pending ? "original" : name;
    stage.show(side, { url: results.get(shown)?.url, title: TITLES[shown], pending });
    element(side).value = name;
  }
  for (const [name, { button }] of tiles) button.setAttribute("aria-pressed", chosen.right === name);
}

function offer(id, blob, name) {
  const link = element(id);
  link.hidden = !blob;
  if (link.href) URL.revokeObjectURL(link.href);
  if (!blob) return;
  link.href = URL.createObjectURL(blob);
  link.download = name;
}

function drawSize(size) {
  const pixels = prepared.width * prepared.height;
  element("size-shown").textContent = bytes(size);
  element("size").setAttribute("aria-valuetext", bytes(size));
  element("size-more").textContent = `${prepared.width} × ${prepared.height} pixels, ${meaning(size, pixels)}`;
}

const target = () => sizeAt(Number(element("size").value), prepared.width * prepared.height);

// What is done

async function dimensions(blob) {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

function begin() {
  running.abort();
  running = new AbortController();
  clearTimeout(settling);
  element("error").hidden = true;
  return running.signal;
}

async function open(file) {
  const signal = begin();
  try {
    limits ??= await readServerInfo();
    if (file.size > limits.max_upload) {
      const allowed = bytes(limits.max_upload);
      throw new Refused(`${file.name} takes ${bytes(file.size)}, and at most ${allowed} are allowed.`, 413);
    }
    opened = { file, stem: file.name.replace(/\.[^.]*$/, "") || "picture" };
    if (file.name.toLowerCase().endsWith(limits.extension)) await decode(file, signal);
    else await prepare(signal);
  } catch (error) {
    complain(error);
  }
}

/** What the server allows; codecs that it lacks disappear from the page. */
async function readServerInfo() {
  const serverInfo = await ask("info");
  for (const name of baselines.filter((each) => !serverInfo.baselines.includes(each))) {
    tiles.get(name).button.parentElement.remove();
    for (const side of ["left", "right"]) element(side).querySelector(`option[value=${name}]`).remove();
    tiles.delete(name);
  }
  baselines = baselines.filter((name) => serverInfo.baselines.includes(name));
  return serverInfo;
}

/** A .calo file: there is nothing to compare it with. */
async function decode(file, signal) {
  progress(30, "Decoding …");
  const { blob, remark } = await decodeFile(file, signal, limits, marks);
  const size = await dimensions(blob);
  prepared = null;
  NAMES.forEach((name) => put(name, null));
  put("calotype", blob);
  chosen.right = "calotype";
  reveal(size, true);
  drawTile("calotype", bytes(file.size), false);
  offer("save-calo", file, file.name);
  offer("save-png", blob, `${opened.stem}.png`);
  progress(100, [`${file.name}: ${size.width} × ${size.height} pixels in ${bytes(file.size)}`, remark].filter(Boolean).join(" · "));
}

async function prepare(signal) {
  progress(8, "Reading the picture …");
  const { blob, remark } = await send(`prepare?side=${element("side").value}`, opened.file, signal);
  prepared = { blob, remark, ...(await dimensions(blob)) };
  NAMES.forEach((name) => put(name, null));
  put("original", blob, "");
  reveal(prepared, false);
  drawTile("original", `${bytes(prepared.width * prepared.height * 3)} raw`, false);
  await compare(signal);
}

/** Every codec at the size asked for; the others at no more than Calotype took. */
async function compare(signal) {
  const size = target();
  drawSize(size);
  ["calotype", ...baselines].forEach((name) => drawTile(name, "", true));
  offer("save-calo", null);
  offer("save-png", null);

  progress(20, "Encoding …");
  const { file, note } = await encode(size, signal);
  drawSize(file.size);
  progress(45, "Decoding …");
  const decoded = await decodeFile(file, signal, limits, marks);
  put("calotype", decoded.blob, note);
  drawTile("calotype", bytes(file.size), false);
  offer("save-calo", file, `${opened.stem}${limits.extension}`);
  offer("save-png", decoded.blob, `${opened.stem}.png`);

  let done = 60;
  progress(done, "Encoding with the other codecs at the same size …");
  await Promise.all(baselines.map(async (name) => {
    const { blob } = await send(`baselines/${name}?max_size=${file.size}`, prepared.blob, signal);
    put(name, blob, blob.size > file.size ? "can go no lower" : "");
    drawTile(name, bytes(blob.size), false);
    done += 40 / baselines.length;
    progress(done, "Encoding with the other codecs at the same size …");
  }));
  progress(100, ["Done", prepared.remark, decoded.remark].filter(Boolean).join(" · "));
}

/** The .calo file of at most `size` bytes, or the smallest there is. */
async function encode(size, signal) {
  const attempt = async (bytesWanted) =>
    (await send(`encode?target_size=${bytesWanted}&record=${marks}`, prepared.blob, signal)).blob;
  try {
    return { file: await attempt(size), note: "" };
  } catch (error) {
    if (!error.smallest) throw error;
    return { file: await attempt(error.smallest), note: "can go no lower" };
  }
}

function reveal({ width, height }, alone) {
  element("start").hidden = true;
  element("work").hidden = false;
  for (const id of ["controls", "sides", "tiles"]) element(id).hidden = alone;
  stage.shape(width, height, alone);
}

function again(work) {
  if (!opened) return;
  work(begin()).catch(complain);
}

// What happens on the page

for (const name of NAMES) {
  const tile = document.createElement("li");
  const parts = Object.fromEntries(["button", "img", "b"].map((tag) => [tag, document.createElement(tag)]));
  const [frame, text, count, note] = ["frame", "text", "bytes", "note"].map((kind) => {
    const span = document.createElement("span");
    span.className = kind;
    return span;
  });
  parts.button.type = "button";
  parts.button.className = "tile";
  parts.button.id = `tile-${name}`;
  parts.img.alt = "";
  parts.b.textContent = TITLES[name];
  frame.append(parts.img);
  text.append(parts.b, count, note);
  parts.button.append(frame, text);
  parts.button.addEventListener("click", () => { chosen.right = name; drawSides(); });
  tile.append(parts.button);
  element("tiles").append(tile);
  tiles.set(name, { button: parts.button, image: parts.img, count, note });
  for (const side of ["left", "right"]) element(side).append(new Option(TITLES[name], name));
}

for (const side of ["left", "right"]) {
  element(side).addEventListener("change", (event) => { chosen[side] = event.target.value; drawSides(); });
}
for (const id of ["file", "another"]) {
  element(id).addEventListener("change", (event) => {
    if (event.target.files.length) open(event.target.files[0]);
    event.target.value = "";
  });
}
element("size").value = position();
element("size").addEventListener("input", () => {
  if (!prepared) return;
  drawSize(target());
  clearTimeout(settling);
  settling = setTimeout(() => again(compare), SETTLED);
});
element("side").addEventListener("change", () => again(prepare));
element("marks").addEventListener("click", (event) => {
  marks = !marks;
  event.target.setAttribute("aria-pressed", marks);
  again((signal) => (prepared ? compare(signal) : decode(opened.file, signal)));
});

addEventListener("paste", (event) => {
  const file = event.clipboardData.files[0];
  if (file) open(file);
});
let depth = 0; // enter and leave come in pairs for every element that is crossed
const veil = (by) => { depth = Math.max(0, depth + by); element("veil").hidden = depth === 0; };
addEventListener("dragenter", () => veil(1));
addEventListener("dragleave", () => veil(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  veil(-depth);
  const file = event.dataTransfer.files[0];
  if (file) open(file);
});
