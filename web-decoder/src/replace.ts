/** Replaces ordinary image elements that lead to `.calo` files, now and as they are added. */
import { CaloImage, defineElement } from "./element.js";

/** The media type of `.calo` files. */
export const MEDIA_TYPE = "image/x-calotype";
const NOT_COPIED = new Set(["src", "srcset", "sizes", "style", "decoding", "fetchpriority"]);

const isCalo = (url: string, base: string): boolean => {
  try {
    return new URL(url, base).pathname.toLowerCase().endsWith(".calo");
  } catch {
    return false;
  }
};

/** The address of the `.calo` file that `image` should show, or null. */
function sourceOf(image: HTMLImageElement): string | null {
  const source = image.parentElement?.tagName === "PICTURE" ? image.parentElement.querySelector(`source[type="${MEDIA_TYPE}"]`) : null;
  const listed = source?.getAttribute("srcset")?.trim().split(/[\s,]+/)[0];
  const own = image.getAttribute("src");
  return listed || (own !== null && isCalo(own, image.baseURI) ? own : null);
}

function replace(image: HTMLImageElement): void {
  const source = sourceOf(image);
  if (source === null) return;
  const calo = new CaloImage();
  for (const { name, value } of image.attributes) if (!NOT_COPIED.has(name) && !name.startsWith("on")) calo.setAttribute(name, value);
  calo.style.cssText = image.style.cssText;
  calo.setAttribute("src", source);
  const picture = image.parentElement?.tagName === "PICTURE" ? image.parentElement : null;
  (picture ?? image).replaceWith(calo);
}

/** Replaces the images below `root`, and those that are added or changed later. Returns a function that ends the watching. */
export function replaceImages(root: ParentNode & Node = document): () => void {
  defineElement();
  const within = (node: Node): HTMLImageElement[] => {
    if (node instanceof HTMLImageElement) return [node];
    return "querySelectorAll" in node ? [...(node as ParentNode).querySelectorAll("img")] : [];
  };
  within(root).forEach(replace);
  const observer = new MutationObserver((records) => {
    const changed = new Set<HTMLImageElement>();
    for (const { type, target, addedNodes } of records) {
      if (type === "attributes") within(target).forEach((image) => changed.add(image));
      for (const node of addedNodes) within(node instanceof HTMLSourceElement ? (node.parentNode ?? node) : node).forEach((image) => changed.add(image));
    }
    changed.forEach((image) => image.isConnected && replace(image));
  });
  observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
  return () => observer.disconnect();
}
