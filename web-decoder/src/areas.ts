/** Rectangles of latent positions. */
import type { Rectangle } from "./executor.js";

/** The largest share of an area's rows that a half may have with its margin. */
const MAX_HALF = 0.7;

/** A rectangle of latent positions. */
export interface Area {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export const sizeOf = ({ top, left, bottom, right }: Area): number => (bottom - top) * (right - left);

export const evenSize = ({ top, left, bottom, right }: Area): [number, number] => [
  Math.ceil((right - left) / 2) * 2,
  Math.ceil((bottom - top) / 2) * 2,
];

/** `area` cut into squares of `side`, row by row. */
export function areas(area: Area, side: number): Area[] {
  const found: Area[] = [];
  for (let { top } = area; top < area.bottom; top += side) {
    for (let { left } = area; left < area.right; left += side) {
      found.push({ top, left, bottom: Math.min(top + side, area.bottom), right: Math.min(left + side, area.right) });
    }
  }
  return found;
}

/**
 * The upper and the lower half of an area that are computed apart, each with `margin` rows of the other one. The upper one is empty if
 * that would not pay.
 */
export function halvesOf(area: Area, margin: number): [Area, Area] {
  const rows = area.bottom - area.top;
  const half = 2 * Math.ceil(rows / 4);
  const middle = area.top + (half + margin <= MAX_HALF * rows ? half : 0);
  return [{ ...area, bottom: middle }, { ...area, top: middle }];
}

/** `area` with `margin` positions more on every side, within `bounds`. */
export const grown = (area: Area, margin: number, bounds: Area): Area => ({
  top: Math.max(area.top - margin, bounds.top),
  left: Math.max(area.left - margin, bounds.left),
  bottom: Math.min(area.bottom + margin, bounds.bottom),
  right: Math.min(area.right + margin, bounds.right),
});

/** The place of `part` in a plane that covers `whole`; `scale` samples for each position. */
export function placeWithin(part: Area, whole: Area, scale: number): Rectangle {
  const { top, left, bottom, right } = part;
  return {
    left: (left - whole.left) * scale, top: (top - whole.top) * scale, width: (right - left) * scale, height: (bottom - top) * scale,
  };
}

/** The same for a part that is enlarged to an even number of positions, as planes are. */
export function evenPlaceWithin(part: Area, whole: Area, scale: number): Rectangle {
  const [width, height] = evenSize(part);
  return { ...placeWithin(part, whole, scale), width: width * scale, height: height * scale };
}
