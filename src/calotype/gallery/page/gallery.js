// The viewer: a click on a thumbnail decodes the picture here. Without scripts the links lead to the files.

import { CaloImage, defineElement } from "./decoder/calotype.js";

defineElement();
const element = (id) => document.getElementById(id);
const links = [...document.querySelectorAll("#pictures a")];
const viewer = element("viewer");
let shown = 0;

function show(index) {
  shown = (index + links.length) % links.length;
  const link = links[shown];
  const title = link.querySelector("img").alt;
  const image = new CaloImage();
  Object.assign(image, { alt: title, src: link.href });
  image.setAttribute("width", link.dataset.width);
  image.setAttribute("height", link.dataset.height);
  image.addEventListener("load", () => (element("state").textContent = ""));
  image.addEventListener("error", ({ detail }) => (element("state").textContent = detail.message));
  element("viewer-title").textContent = title;
  element("state").textContent = "Decoding …";
  element("place").replaceChildren(image);
  if (!viewer.open) viewer.showModal();
}

links.forEach((link, index) =>
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(index);
  }),
);
element("previous").addEventListener("click", () => show(shown - 1));
element("next").addEventListener("click", () => show(shown + 1));
element("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("close", () => element("place").replaceChildren());
viewer.addEventListener("keydown", ({ key }) => {
  if (key === "ArrowLeft") show(shown - 1);
  if (key === "ArrowRight") show(shown + 1);
});
