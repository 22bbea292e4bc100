/** Small pictures from the beginning of a file: the coarsest latents alone, which make a picture of their own. */
import type { Latents } from "./latents.js";

const SPACINGS = [2, 4, 8];

/** The positions in rows and columns that are multiples of the smallest spacing of which every latent is known, at most 8. */
export function thinned(latents: Latents, known: (position: number) => boolean): Latents {
  const { rows, columns } = latents;
  const complete = (spacing: number): boolean => {
    for (let y = 0; y < rows; y += spacing) for (let x = 0; x < columns; x += spacing) if (!known(y * columns + x)) return false;
    return true;
  };
  const spacing = SPACINGS.find(complete) ?? SPACINGS.at(-1)!;
  const [height, width] = [Math.ceil(rows / spacing), Math.ceil(columns / spacing)];
  const pick = (source: Float32Array): Float32Array => {
    const planes = source.length / (rows * columns);
    const picked = new Float32Array(planes * height * width);
    for (let index = 0; index < picked.length; index++) {
      const [plane, rest] = [Math.floor(index / (height * width)), index % (height * width)];
      const [y, x] = [Math.floor(rest / width), rest % width];
      picked[index] = source[(plane * rows + y * spacing) * columns + x * spacing]!;
    }
    return picked;
  };
  return {
    rows: height,
    columns: width,
    integers: new Int16Array(),
    latents: pick(latents.latents),
    conditionalMeans: pick(latents.conditionalMeans),
    logStep: pick(latents.logStep),
    known: new Uint8Array(),
    arrived: 0,
  };
}
