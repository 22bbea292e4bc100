/** Pictures that the platform decodes. */

/** RGBA of a file of exactly `width` × `height` pixels; null if it is damaged or the platform cannot read its type. */
export async function platformPixels(file: Uint8Array, type: string, width: number, height: number): Promise<Uint8ClampedArray | null> {
  try {
    const options: ImageBitmapOptions = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const bitmap = await createImageBitmap(new Blob([file as BlobPart], { type }), options);
    const fitting = bitmap.width === width && bitmap.height === height;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return fitting ? context.getImageData(0, 0, width, height).data : null;
  } catch {
    return null;
  }
}
