/** calotype-sw.js: a service worker that answers requests for `.calo` images with PNG, so that `<img>` and CSS show them. */
import { fetchAsset } from "./assets.js";
import { Engine } from "./engine.js";

const scope = self as unknown as ServiceWorkerGlobalScope;
const engine = new Engine((name) => fetchAsset(scope.location.href, name));

scope.addEventListener("install", () => void scope.skipWaiting());
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const image = request.destination === "image" && new URL(request.url).pathname.toLowerCase().endsWith(".calo");
  if (image && request.method === "GET") event.respondWith(shown(request));
});

async function shown(request: Request): Promise<Response> {
  const response = await fetch(request);
  if (!response.ok || response.type === "opaque") return response;
  const { width, height, data } = await engine.decode(new Uint8Array(await response.arrayBuffer()));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(new ImageData(data as ImageDataArray, width, height), 0, 0);
  return new Response(await canvas.convertToBlob({ type: "image/png" }), { headers: { "Content-Type": "image/png" } });
}
