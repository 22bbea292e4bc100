// Two pictures on top of each other and the divider between them.

const clamp = (value) => Math.min(100, Math.max(0, value));

export class Stage {
  #stage = document.getElementById("stage");
  #divider = document.getElementById("divider");
  #images = { left: document.getElementById("left-image"), right: document.getElementById("right-image") };
  #cut = 50;

  constructor() {
    this.#stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.#stage.setPointerCapture(event.pointerId);
      this.#follow(event);
      this.#divider.focus({ preventScroll: true, focusVisible: false });
      event.preventDefault();
    });
    this.#stage.addEventListener("pointermove", (event) => {
      if (this.#stage.hasPointerCapture(event.pointerId)) this.#follow(event);
    });
    this.#divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const to = {
        ArrowLeft: this.#cut - step, ArrowDown: this.#cut - step,
        ArrowRight: this.#cut + step, ArrowUp: this.#cut + step,
        PageDown: this.#cut - 10, PageUp: this.#cut + 10,
        Home: 0, End: 100,
      }[event.key];
      if (to === undefined) return;
      this.#move(to);
      event.preventDefault();
    });
  }

  #follow(event) {
    const box = this.#stage.getBoundingClientRect();
    this.#move((100 * (event.clientX - box.left)) / box.width);
  }

  #move(cut) {
    this.#cut = clamp(cut);
    this.#stage.style.setProperty("--cut", `${this.#cut}%`);
    const shown = Math.round(this.#cut);
    this.#divider.setAttribute("aria-valuenow", shown);
    this.#divider.setAttribute("aria-valuetext", `${shown} % of the left picture`);
  }

  /** The shape of the pictures, and whether there are two to compare. */
  shape(width, height, alone) {
    this.#stage.parentElement.style.setProperty("--shape", width / height);
    this.#stage.classList.toggle("alone", alone);
  }

  /** Shows {url, title} on a side ("left", "right"), dimmed while `pending`; nothing without an address. */
  show(side, { url, title, pending }) {
    const image = this.#images[side];
    image.classList.toggle("pending", pending);
    if (url) image.src = url;
    else image.removeAttribute("src");
    image.alt = url ? title : "";
  }
}
