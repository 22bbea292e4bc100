"use strict";

// Opens .calo files on a report that has the browser's decoder beside it: each becomes one more column of the picture shown.
class Opener {
  // size() gives [width, height] of the picture shown; add(column) shows a column beside it.
  constructor(root, { size, add }) {
    this.size = size;
    this.add = add;
    this.status = root.querySelector("[data-opened]");
    this.count = 0;
    const input = root.querySelector("[data-open]");
    if (!input) return;
    input.addEventListener("change", () => {
      if (input.files.length) this.open(input.files[0]);
      input.value = "";
    });
    const stage = root.querySelector(".stage");
    stage.addEventListener("dragover", (event) => event.preventDefault());
    stage.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) this.open(event.dataTransfer.files[0]);
    });
  }

  async open(file) {
    this.status.textContent = `Decoding ${file.name} …`;
    try {
      const [width, height] = this.size();
      await (this.loaded ??= this.load());
      const { image } = await calotype.decodePicture(await file.arrayBuffer());
      if (image.width !== width || image.height !== height) {
        throw new Error(`${file.name} has ${image.width} × ${image.height} pixels, and this picture ${width} × ${height}.`);
      }
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext("2d").putImageData(image, 0, 0);
      const src = URL.createObjectURL(await canvas.convertToBlob({ type: "image/png" }));
      const bytes = file.size.toLocaleString("en");
      const ratio = Math.round((3 * width * height) / file.size);
      const bpp = ((8 * file.size) / (width * height)).toFixed(3);
      this.count += 1;
      this.add({ id: `opened-${this.count}`, label: file.name, note: `${bytes} bytes · ${ratio} : 1 · ${bpp} bpp`, src,
        alt: `${file.name}, as this browser decodes it`, width });
      this.status.textContent = `${file.name}: decoded by this browser.`;
    } catch (error) {
      this.status.textContent = error.message;
    }
  }

  // Browsers let pages that are opened from disk fetch nothing, but load scripts.
  async load() {
    for (const name of ["calotype-files.js", "calotype-embedded.js"]) {
      await new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `decoder/${name}`;
        script.onload = resolve;
        script.onerror = () => {
          this.loaded = undefined;
          reject(new Error(`decoder/${name} is not beside this page.`));
        };
        document.head.append(script);
      });
    }
  }
}
