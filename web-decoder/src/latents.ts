/** From a payload to integers and latents (docs/format.md, sections 8 to 12). */
import { GRID_UNIT, SITES, type ContextModel, type Grid } from "./context.js";
import { checksumError, truncatedError } from "./errors.js";
import { CHANNELS } from "./header.js";
import { clip, effectiveLevel, expectedInput, MAX_INTEGER, networkInput, STEP_UNIT, stepOf } from "./quantiser.js";
import { NOT_ARRIVED, RansReader } from "./rans.js";
import { finishedStepMap, logStepOf, logStepOfMissing } from "./steps.js";
import { conditionalOffset, ESCAPE, quantisePrediction, MAX_RESIDUAL, type QuantisedPrediction } from "./tables.js";

const MAX_INTEGERS_PER_BYTE = 16_384;
const STATE_SLACK = 3;
/** The number of sites of the even rows and columns, which are coded before all others. */
const COARSE_SITES = 7;
/** The positions to decode: those of the even rows and columns; all; or the former if the payload ends within them, otherwise all. */
export type Detail = "coarse" | "all" | "arrived";

/** Decoded latents. All arrays are `[4, rows, columns]` in C order but `logStep`, which is `[rows, columns]`. */
export interface Latents {
  readonly rows: number;
  readonly columns: number;
  /** 0 where an integer has not arrived. */
  readonly integers: Int16Array;
  /** Scaled latents. */
  readonly latents: Float32Array;
  /** Conditional means of the scaled latents. */
  readonly conditionalMeans: Float32Array;
  /** log2 of the step as decoder networks take it. */
  readonly logStep: Float32Array;
  /** 1 where an integer has arrived. */
  readonly arrivedMask: Uint8Array;
  /** Integers that have arrived; 4 · rows · columns if all have. */
  readonly arrived: number;
  /** 1 if every position was decoded; 2 if only those of the even rows and columns were, and the others are 0. */
  readonly spacing: 1 | 2;
}

export interface HierarchicalInput {
  readonly payload: Uint8Array;
  /** Length of the whole payload, of which `payload` may be the beginning. */
  readonly payloadLength: number;
  /** Level of each position. */
  readonly levels: Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly detail: Detail;
}

/** Decodes a payload of the hierarchical coding. A payload shorter than `payloadLength` gives partial latents. */
export function decodeHierarchical(model: ContextModel, input: HierarchicalInput): Latents {
  const { payload, payloadLength, rows, columns } = input;
  const count = CHANNELS * rows * columns;
  if (count > MAX_INTEGERS_PER_BYTE * (payloadLength - STATE_SLACK)) {
    throw truncatedError(`A payload of ${payloadLength} bytes cannot hold ${count} integers.`);
  }
  const pass = new CodingPass(model, input, new RansReader(payload, payload.length < payloadLength));
  const mark = model.kernels.arena.mark();
  try {
    return pass.run();
  } finally {
    model.kernels.arena.release(mark);
  }
}

class CodingPass {
  private readonly gridColumns: number;
  private readonly gridRows: number;
  /** Latents as inputs of the networks, by channel, on the extended grid. */
  private readonly networkInputs: Int16Array[];
  private readonly integers: Int16Array;
  private readonly latents: Float32Array;
  private readonly conditionalMeans: Float32Array;
  /** Sums over the channels. */
  private readonly logStep: Float64Array;
  private readonly steps: Int32Array[];
  private readonly quantised: QuantisedPrediction = { sigmaIndex: 0, phase: 0, lowBits: 0, centre: 0 };
  private readonly arrivedMask: Uint8Array;
  private arrived = 0;

  constructor(
    private readonly model: ContextModel,
    private readonly input: HierarchicalInput,
    private readonly reader: RansReader,
  ) {
    const { rows, columns } = input;
    this.gridRows = Math.ceil(rows / GRID_UNIT) * GRID_UNIT;
    this.gridColumns = Math.ceil(columns / GRID_UNIT) * GRID_UNIT;
    this.networkInputs = Array.from({ length: CHANNELS }, () => new Int16Array(this.gridRows * this.gridColumns));
    this.integers = new Int16Array(CHANNELS * rows * columns);
    this.latents = new Float32Array(CHANNELS * rows * columns);
    this.conditionalMeans = new Float32Array(CHANNELS * rows * columns);
    this.logStep = new Float64Array(rows * columns);
    this.arrivedMask = new Uint8Array(CHANNELS * rows * columns);
    this.steps = Array.from({ length: CHANNELS }, (_, channel) =>
      Int32Array.from({ length: 128 }, (_, level) => stepOf(effectiveLevel(level, channel))),
    );
  }

  run(): Latents {
    const { rows, columns, detail, payload, payloadLength } = this.input;
    let spacing: 1 | 2 = 1;
    for (const [index, site] of SITES.entries()) {
      if (index === COARSE_SITES && (detail === "coarse" || (detail === "arrived" && this.reader.ended))) {
        spacing = 2;
        break;
      }
      if (site.offset[0] < rows && site.offset[1] < columns) this.site(index, site);
    }
    if (payload.length === payloadLength && spacing === 1) this.reader.finish();
    const { integers, latents, conditionalMeans, arrivedMask, arrived } = this;
    const decoded = CHANNELS * Math.ceil(rows / spacing) * Math.ceil(columns / spacing);
    const logStep = finishedStepMap(this.logStep, rows, columns, spacing, arrived / decoded);
    return { rows, columns, integers, latents, conditionalMeans, logStep, arrivedMask, arrived, spacing };
  }

  private site(index: number, site: (typeof SITES)[number]): void {
    const { rows, columns, levels } = this.input;
    const network = this.model.networks[index]!;
    const { arena } = this.model.kernels;
    const mark = arena.mark();
    network.begin(this.gridColumns / site.stride, this.gridRows / site.stride);
    site.context.forEach((grid, place) => {
      for (let channel = 0; channel < CHANNELS; channel++) network.setInput(4 * place + channel, this.plane(grid, channel));
    });
    const inPicture = (y: number, x: number, value: (position: number) => number): number => {
      const [row, column] = [y * site.stride + site.offset[0], x * site.stride + site.offset[1]];
      return row < rows && column < columns ? value(row * columns + column) : 0;
    };
    const { length } = site.context;
    network.setInput(4 * length, (y, x) => inPicture(y, x, (position) => clip(2 * (levels[position]! - 64), -127, 127)));
    network.setInput(4 * length + 1, (y, x) => inPicture(y, x, () => 127));
    network.runTrunk();
    for (let channel = 0; channel < CHANNELS; channel++) {
      const step = new PredictionStep();
      network.runHead(channel, (y, x, mean, scale) => {
        const [row, column] = [y * site.stride + site.offset[0], x * site.stride + site.offset[1]];
        if (row < rows && column < columns) step.add(row * columns + column, mean, scale);
      });
      this.decode(step, channel);
      network.setSiteInput(channel, this.plane(site, channel));
    }
    arena.release(mark);
  }

  /** Returns the latents of a channel on a grid, as inputs of the networks. */
  private plane({ stride, offset }: Grid, channel: number): (y: number, x: number) => number {
    const inputs = this.networkInputs[channel]!;
    return (y, x) => inputs[(y * stride + offset[0]) * this.gridColumns + x * stride + offset[1]]!;
  }

  /** Decodes the integers of one prediction step: all symbols first, then the bypass bits. */
  private decode(step: PredictionStep, channel: number): void {
    const { quantised, reader } = this;
    const symbols = step.positions.map((position, index) => {
      this.place(step, index, channel, position);
      return reader.symbol(this.model.frequencies, quantised.sigmaIndex, quantised.phase);
    });
    step.positions.forEach((position, index) => {
      this.place(step, index, channel, position);
      const symbol = symbols[index]!;
      const residual = symbol === ESCAPE ? this.escaped() : symbol - MAX_RESIDUAL;
      const low = symbol === NOT_ARRIVED || residual === null ? NOT_ARRIVED : reader.bits(quantised.lowBits);
      if (low === NOT_ARRIVED) {
        this.storeExpected(position, channel, step.means[index]!, step.scales[index]!);
      } else {
        const integer = (residual! + quantised.centre) * 2 ** quantised.lowBits + low;
        const modelled = symbol !== ESCAPE && quantised.lowBits === 0;
        this.store(position, channel, integer, modelled ? conditionalOffset(quantised.sigmaIndex, quantised.phase, residual!) : 0);
      }
    });
  }

  private place(step: PredictionStep, index: number, channel: number, position: number): void {
    const level = this.input.levels[position]!;
    quantisePrediction(this.quantised, step.means[index]!, step.scales[index]!, effectiveLevel(level, channel), this.steps[channel]![level]!);
  }

  /** Decodes a residual beyond the tables; returns null if its bits have not arrived. */
  private escaped(): number | null {
    const sign = this.reader.bits(1);
    const width = this.reader.bits(4);
    const rest = width === NOT_ARRIVED ? NOT_ARRIVED : this.reader.bits(width);
    if (rest === NOT_ARRIVED) return null;
    const magnitude = MAX_RESIDUAL + 2 ** width + rest;
    return sign === 1 ? -magnitude : magnitude;
  }

  private store(position: number, channel: number, integer: number, offset: number): void {
    if (Math.abs(integer) > MAX_INTEGER) throw checksumError(`The payload is damaged: it holds the integer ${integer}.`);
    const { rows, columns, levels } = this.input;
    const level = levels[position]!;
    const step = this.steps[channel]![level]!;
    const place = channel * rows * columns + position;
    this.integers[place] = integer;
    this.latents[place] = integer * step * STEP_UNIT;
    this.conditionalMeans[place] = (integer + offset) * step * STEP_UNIT;
    this.logStep[position]! += logStepOf(level);
    this.setNetworkInput(position, channel, networkInput(integer, step));
    this.arrivedMask[place] = 1;
    this.arrived += 1;
  }

  private storeExpected(position: number, channel: number, mean: number, scale: number): void {
    const { rows, columns, levels } = this.input;
    const place = channel * rows * columns + position;
    this.latents[place] = this.conditionalMeans[place] = mean / 256;
    this.logStep[position]! += logStepOfMissing(levels[position]!, scale);
    this.setNetworkInput(position, channel, expectedInput(mean));
  }

  private setNetworkInput(position: number, channel: number, value: number): void {
    const { columns } = this.input;
    const row = Math.floor(position / columns);
    this.networkInputs[channel]![row * this.gridColumns + position - row * columns] = value;
  }
}

/** The predictions of one site and channel inside the picture, in raster order. */
class PredictionStep {
  readonly positions: number[] = [];
  readonly means: number[] = [];
  readonly scales: number[] = [];

  add(position: number, mean: number, scale: number): void {
    this.positions.push(position);
    this.means.push(mean);
    this.scales.push(scale);
  }
}
