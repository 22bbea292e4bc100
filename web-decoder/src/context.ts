/** The hierarchical context model: the order of the integers and the networks that predict them (docs/format.md, section 10). */
import { modelError } from "./errors.js";
import type { IntegerKernels } from "./kernels.js";
import { LayerSource, SiteNetwork } from "./network.js";
import { readNpz } from "./npz.js";
import { accumulate, type FrequencyTables } from "./tables.js";

/** Positions (y, x) ≡ `offset` mod `stride`. */
export interface Grid {
  readonly stride: number;
  readonly offset: readonly [number, number];
}

/** One site: its positions, and the grids that are decoded before it. */
export interface Site extends Grid {
  readonly context: readonly Grid[];
  /** Index of its trunk's width. */
  readonly scale: number;
}

/** The ten sites in coding order. */
export const SITES: readonly Site[] = sites();
/** The grid is extended to multiples of this. */
export const GRID_UNIT = 8;

function sites(): Site[] {
  const all: Site[] = [{ stride: 8, offset: [0, 0], context: [], scale: 0 }];
  [4, 2, 1].forEach((s, index) => {
    const context: Grid[] = [{ stride: 2 * s, offset: [0, 0] }];
    for (const offset of [[s, s], [0, s], [s, 0]] as const) {
      all.push({ stride: 2 * s, offset, context: [...context], scale: index + 1 });
      context.push({ stride: 2 * s, offset });
    }
  });
  return all;
}

/** The networks and frequency tables of one id. */
export class ContextModel {
  private constructor(
    readonly kernels: IntegerKernels,
    readonly networks: readonly SiteNetwork[],
    readonly frequencies: FrequencyTables,
  ) {}

  /** Reads the `.npz` file of an id into the memory of `kernels`. */
  static async load(file: Uint8Array, kernels: IntegerKernels): Promise<ContextModel> {
    const arrays = await readNpz(file);
    const bufferOf = (name: string, dtype: string): ArrayBuffer => {
      const array = arrays.get(name);
      if (array?.dtype !== dtype) throw modelError(`The context model lacks the array ${name} of type ${dtype}.`);
      return array.buffer;
    };
    const widths = [...new BigInt64Array(bufferOf("widths", "<i8"))].map(Number);
    if (widths.length !== 5 || widths.some((width) => !(width >= 1 && width <= 1024))) {
      throw modelError("The context model has widths that this decoder cannot read.");
    }
    const source = new LayerSource(
      kernels,
      new Int8Array(bufferOf("weight", "|i1")),
      new Int32Array(bufferOf("multiplier", "<i4")),
      new BigInt64Array(bufferOf("bias", "<i8")),
    );
    const networks = SITES.map(
      (site) => new SiteNetwork(kernels, source, 4 * site.context.length + 2, widths[site.scale]!, widths[4]!, site.scale > 0),
    );
    source.finish();
    return new ContextModel(kernels, networks, accumulate(new Uint16Array(bufferOf("frequencies", "<u2"))));
  }
}
