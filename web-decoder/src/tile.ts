/** One tile of a picture through the decoder network, alone or with a helper. */
import { type Area, areas, evenPlaceWithin, grown, halvesOf, placeWithin, sizeOf } from "./areas.js";
import type { Part } from "./choice.js";
import { type Executor, runSteps, type Samples } from "./executor.js";
import type { FindHelper, PartTask } from "./help.js";
import type { Inputs } from "./inputs.js";
import type { Stage, Stages } from "./stages.js";

/** The side of the parts of a tile for which the second stage is computed, in latent positions. */
const PART = 64;
/** The first stage is shared for at most so many positions. Of more, the copies of its values would take too much memory. */
const MAX_SHARED_POSITIONS = 128 * 128;

/** A value of the network over an area, on which the next stage works. */
interface Value<Plane> {
  readonly name: string;
  readonly plane: Plane;
  readonly area: Area;
  /** Samples per latent position. */
  readonly scale: number;
}

export class TileDecoder<Plane> {
  constructor(
    private readonly executor: Executor<Plane>,
    private readonly stages: Stages,
    private readonly inputs: Inputs,
    private readonly findHelper: FindHelper,
  ) {}

  /** Decodes `tile` and gives its parts one after another. */
  async decode(tile: Area, give: (part: Part<Area>) => void): Promise<void> {
    const { executor, stages: { first, second }, inputs: { whole } } = this;
    const needed = grown(tile, second?.margin ?? 0, whole);
    const read = grown(needed, first.margin, whole);
    if (!second) {
      const plane = this.run(first, read, null);
      give({ area: tile, bytes: await executor.bytes(plane, placeWithin(tile, read, first.scale)) });
      return;
    }
    const early: Value<Plane> = { name: first.output, plane: await this.firstStage(read), area: read, scale: first.scale };
    const bytesOf = async (area: Area, isLast: boolean): Promise<Uint8ClampedArray> => {
      const window = grown(area, second.margin, whole);
      const cut = this.cut(early, window);
      if (isLast) executor.release(early.plane);
      const pixels = this.run(second, window, cut);
      const bytes = await executor.bytes(pixels, placeWithin(area, window, second.scale));
      executor.release(pixels);
      return bytes;
    };
    const parts = areas(tile, PART);
    while (parts.length > 0) {
      const part = parts.shift()!;
      const [own, other] = parts.length > 0 ? [part, parts[0]!] : halvesOf(part, second.margin);
      const window = grown(other, second.margin, whole);
      const task = () => this.taskFor(this.stages.segments.length, second, window, early, placeWithin(other, window, second.scale));
      const shared = await this.shared(own, task, () => bytesOf(own, false));
      if (!shared) {
        give({ area: part, bytes: await bytesOf(part, parts.length === 0) });
        continue;
      }
      const bytes = shared.result ? new Uint8ClampedArray(shared.result) : await bytesOf(other, false);
      if (other === parts[0]) {
        give({ area: own, bytes: shared.own });
        give({ area: parts.shift()!, bytes });
      } else {
        give({ area: part, bytes: joined(shared.own, bytes) });
      }
    }
  }

  /** The output of the first stage over `window`: in segments, of which a helper computes the lower half, if one is found. */
  private async firstStage(window: Area): Promise<Plane> {
    const { executor, stages: { first, segments } } = this;
    if (!executor.read || sizeOf(window) > MAX_SHARED_POSITIONS) return this.run(first, window, null);
    let value: Value<Plane> | null = null;
    for (const [index, segment] of segments.entries()) {
      value = { name: segment.output, plane: await this.segment(index, segment, window, value), area: window, scale: segment.scale };
    }
    return value!.plane;
  }

  private async segment(index: number, segment: Stage, window: Area, before: Value<Plane> | null): Promise<Plane> {
    const { executor } = this;
    const [upper, lower] = halvesOf(window, segment.margin);
    const samplesOf = async (area: Area): Promise<Samples> => {
      const grownArea = grown(area, segment.margin, window);
      const plane = this.run(segment, grownArea, before && this.cut(before, grownArea));
      const samples = executor.read!(plane, evenPlaceWithin(area, grownArea, segment.scale));
      executor.release(plane);
      return samples;
    };
    const lowerArea = grown(lower, segment.margin, window);
    const task = () => this.taskFor(index, segment, lowerArea, before, evenPlaceWithin(lower, lowerArea, segment.scale));
    const shared = await this.shared(upper, task, () => samplesOf(upper));
    if (!shared) return this.run(segment, window, before);
    const { channels } = shared.own;
    const { width, height } = evenPlaceWithin(lower, lowerArea, segment.scale);
    const below = shared.result ? { width, height, channels, data: new Float32Array(shared.result) } : await samplesOf(lower);
    if (before) executor.release(before.plane);
    return executor.load(shared.own, below);
  }

  /** Computes `own` while a helper does a task; null if there is no helper or, with an empty area, nothing to share. */
  private async shared<T>(
    area: Area, task: () => PartTask, own: () => Promise<T>,
  ): Promise<{ own: T; result: ArrayBuffer | null } | null> {
    const helper = this.executor.read && area.bottom > area.top ? await this.findHelper() : null;
    if (!helper) return null;
    const start = performance.now();
    const answer = helper(task());
    const done = await own();
    // Where other processes delay the helper for longer, this worker alone would be as fast.
    return { own: done, result: await answer((performance.now() - start) / 2) };
  }

  /** Runs a stage over an area. Frees the value that it starts from. */
  private run(stage: Stage, area: Area, before: Value<Plane> | null): Plane {
    const values = new Map(this.samples(stage, area, before).map(([name, samples]) => [name, this.executor.load(samples)]));
    if (before) values.set(before.name, before.plane);
    return runSteps(this.executor, stage.steps, values, stage.output);
  }

  private samples(stage: Stage, area: Area, before: Value<Plane> | null): [string, Samples][] {
    return stage.inputs.filter((name) => name !== before?.name).map((name) => [name, this.inputs.samples(name, area)]);
  }

  private cut({ name, plane, area: whole, scale }: Value<Plane>, area: Area): Value<Plane> {
    return { name, plane: this.executor.cut(plane, evenPlaceWithin(area, whole, scale)), area, scale };
  }

  private taskFor(index: number, stage: Stage, area: Area, before: Value<Plane> | null, wanted: PartTask["wanted"]): PartTask {
    const inputs = this.samples(stage, area, before);
    if (before) inputs.push([before.name, this.executor.read!(before.plane, evenPlaceWithin(area, before.area, before.scale))]);
    return { stage: index, inputs, wanted };
  }
}

function joined(upper: Uint8ClampedArray, lower: Uint8ClampedArray): Uint8ClampedArray {
  const bytes = new Uint8ClampedArray(upper.length + lower.length);
  bytes.set(upper);
  bytes.set(lower, upper.length);
  return bytes;
}
