/** `<calo-img src alt width height loading>`: an image element for `.calo` files. */
import { decodeStream } from "./decode.js";
import type { NetworkName } from "./engine.js";
import { CalotypeError, modelError } from "./errors.js";

/** Lazy pictures load when they are this near to the visible part of the page. */
const NEAR = "600px";
const STYLE = `
  :host { display: inline-block; max-width: 100%; }
  :host([hidden]) { display: none; }
  canvas { display: block; max-width: 100%; }
  [hidden] { display: none; }`;

/** What an `error` event tells in its `detail`. */
export interface ErrorDetail {
  readonly code: string;
  readonly message: string;
}

let style: CSSStyleSheet | null = null;
let observer: IntersectionObserver | null = null;

/**
 * Events as those of `<img>`, which do not bubble: `load`; `error`, a CustomEvent with an `ErrorDetail`; and `preview` when a small
 * picture of a file that loads slowly is shown. The picture is `::part(image)`, the text in its place `::part(alt)`.
 */
export class CaloImage extends HTMLElement {
  static readonly observedAttributes = ["src", "alt", "width", "height", "loading", "network"];

  private readonly canvas = document.createElement("canvas");
  private readonly text = document.createElement("span");
  private loading: AbortController | null = null;
  private source = "";
  private state: "empty" | "waiting" | "loading" | "done" | "failed" = "empty";

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    if (style === null) {
      style = new CSSStyleSheet();
      style.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [style];
    Object.assign(this.canvas, { width: 0, height: 0 }); // A picture of unknown size takes no place, as <img>.
    this.canvas.part.add("image");
    this.text.part.add("alt");
    this.text.hidden = true;
    root.append(this.canvas, this.text);
  }

  get src(): string {
    const value = this.getAttribute("src");
    return value === null ? "" : new URL(value, this.baseURI).href;
  }

  set src(value: string) {
    this.setAttribute("src", value);
  }

  get alt(): string {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value: string) {
    this.setAttribute("alt", value);
  }

  /** Whether nothing is left to load: the picture is shown, or it failed, or there is none. */
  get complete(): boolean {
    return this.state === "done" || this.state === "failed" || !this.hasAttribute("src");
  }

  /** The picture's size in pixels; 0 until it is shown. */
  get naturalWidth(): number {
    return this.state === "done" ? this.canvas.width : 0;
  }

  get naturalHeight(): number {
    return this.state === "done" ? this.canvas.height : 0;
  }

  /** Resolves when the picture is shown, and rejects with the error. */
  decode(): Promise<void> {
    if (this.state === "done") return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.addEventListener("load", () => resolve(), { once: true });
      this.addEventListener("error", (event) => reject(new Error((event as unknown as CustomEvent<ErrorDetail>).detail.message)), { once: true });
    });
  }

  connectedCallback(): void {
    this.describe();
    this.measure();
    this.update();
  }

  disconnectedCallback(): void {
    observer?.unobserve(this);
    this.loading?.abort();
    this.loading = null;
    if (this.state === "loading" || this.state === "waiting") this.state = "empty";
  }

  attributeChangedCallback(name: string): void {
    if (name === "alt") this.describe();
    else if (name === "width" || name === "height") this.measure();
    else if (this.isConnected) this.update();
  }

  /** The alternative text, as assistive technology finds it. An empty one marks a picture without meaning, as for `<img>`. */
  private describe(): void {
    const alt = this.getAttribute("alt");
    this.text.textContent = alt ?? "";
    this.canvas.setAttribute("role", alt === "" ? "presentation" : "img");
    if (alt) this.canvas.setAttribute("aria-label", alt);
    else this.canvas.removeAttribute("aria-label");
  }

  /** Width and height keep the place of a picture that is not there yet. */
  private measure(): void {
    const side = (name: string) => (/^\d+$/.test(this.getAttribute(name) ?? "") ? `${this.getAttribute(name)}px` : "");
    const [width, height] = [side("width"), side("height")];
    Object.assign(this.canvas.style, { width, height: width && height ? "auto" : height });
    this.canvas.style.aspectRatio = width && height ? `${parseInt(width)} / ${parseInt(height)}` : "";
  }

  private update(): void {
    const { src } = this;
    const lazy = this.getAttribute("loading") === "lazy" && this.state !== "done";
    if (src === this.source && this.state !== "empty" && !(this.state === "waiting" && !lazy)) return;
    this.loading?.abort();
    this.source = src;
    if (!src) {
      this.state = "empty";
      return;
    }
    if (!lazy) {
      void this.load();
      return;
    }
    this.state = "waiting";
    observer ??= new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          observer!.unobserve(target);
          const image = target as CaloImage;
          if (image.state === "waiting") void image.load();
        }
      },
      { rootMargin: NEAR },
    );
    observer.observe(this);
  }

  private async load(): Promise<void> {
    const loading = new AbortController();
    this.loading = loading;
    this.state = "loading";
    try {
      const response = await fetch(this.source, { signal: loading.signal });
      if (!response.ok || !response.body) throw modelError(`${this.source} cannot be loaded: the server answers ${response.status}.`);
      const bitmap = await decodeStream(response.body, {
        signal: loading.signal,
        network: (this.getAttribute("network") ?? "pocket") as NetworkName,
        onPreview: (preview) => {
          if (loading.signal.aborted) return;
          this.show(preview);
          this.dispatchEvent(new Event("preview"));
        },
      });
      if (loading.signal.aborted) return;
      this.show(bitmap);
      this.state = "done";
      this.dispatchEvent(new Event("load"));
    } catch (error) {
      if (!loading.signal.aborted) this.fail(error);
    }
  }

  /** Gives the bitmap to the canvas. To draw it would copy it, which takes longer than a frame for a large one. */
  private show(bitmap: ImageBitmap): void {
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
    this.canvas.hidden = false;
    this.text.hidden = true;
  }

  private fail(error: unknown): void {
    this.state = "failed";
    this.canvas.hidden = true;
    this.text.hidden = false;
    const known = error instanceof CalotypeError;
    const message = known ? error.message : `${this.source} cannot be loaded: ${String(error)}`;
    const detail: ErrorDetail = { code: known ? error.code : "NetworkError", message };
    this.dispatchEvent(new CustomEvent("error", { detail }));
  }
}

/** Defines the element. Calling it again does nothing. */
export function defineElement(): void {
  if (!customElements.get("calo-img")) customElements.define("calo-img", CaloImage);
}
