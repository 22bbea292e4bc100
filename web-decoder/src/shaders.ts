/** The programs of the WebGPU executor, in WGSL. */
import type { Convolution } from "./graph.js";

/** Channels of a vector, and threads along each side of a workgroup. */
export const VECTOR = 4;
export const GROUP = 8;
/** Pixels below one another, and output channels, that a thread of a convolution computes. */
export const STRIP = 4;
export const OUTPUTS = 8;

/** The numbers that a program is given: `SIZES[0]` is the result's width, height and channels, those after it the operands'. */
const SIZES = "@group(0) @binding(0) var<uniform> sizes: array<vec4i, 8>;";
/** Where in `sizes` the numbers of the step itself are. */
export const OWN = 7;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const declared = (name: string, binding: number, access = "read", type = "vec4f"): string =>
  `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${type}>;`;

/** A program that makes each sample by itself: `body` returns that at `y`, `x`, channel `c`, from the operands `a0`, `a1`, …. */
export function pointwise(operands: number, body: string): string {
  const access = range(operands).map(
    (k) => `${declared(`operand${k}`, k + 2)}
fn a${k}(y: i32, x: i32, c: i32) -> f32 {
  let size = sizes[${k + 1}];
  return operand${k}[((c >> 2) * size.y + y) * size.x + x][c & 3];
}`,
  );
  return `${SIZES}
${declared("result", 1, "read_write")}
${access.join("\n")}
fn sample(y: i32, x: i32, c: i32) -> f32 {
  if (c >= sizes[0].z) { return 0; }
  ${body}
}
@compute @workgroup_size(${GROUP}, ${GROUP}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let p = vec3i(id);
  let size = sizes[0];
  if (p.x >= size.x || p.y >= size.y) { return; }
  let c = p.z * 4;
  result[(p.z * size.y + p.y) * size.x + p.x] =
    vec4f(sample(p.y, p.x, c), sample(p.y, p.x, c + 1), sample(p.y, p.x, c + 2), sample(p.y, p.x, c + 3));
}`;
}

/** The program that makes the bytes of a picture. */
export const BYTES = `${SIZES}
${declared("result", 1, "read_write", "u32")}
${declared("pixels", 2)}
@compute @workgroup_size(${GROUP}, ${GROUP}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let p = vec2i(id.xy);
  if (p.x >= sizes[0].x || p.y >= sizes[0].y) { return; }
  let place = p + sizes[${OWN}].xy;
  let bytes = vec3u(clamp(floor(pixels[place.y * sizes[1].x + place.x].rgb * 255 + 0.5), vec3f(0), vec3f(255)));
  result[p.y * sizes[0].x + p.x] = bytes.r | (bytes.g << 8) | (bytes.b << 16) | 0xff000000u;
}`;

/** The program of a convolution: each thread makes a strip of pixels of eight channels. */
export function convolution({ weights: { dims }, stride, relu }: Convolution, addend: boolean): string {
  const kernel = dims[2]!;
  const reach = kernel === 3 ? 1 : 0;
  // The tap is a loop: programs with all taps written out take some drivers minutes to compile.
  const sums = range(STRIP).map(
    (k) => `let p${k} = at(group, top + down + ${k * stride}, left + across); a${k} += a * p${k}; b${k} += b * p${k};`,
  );
  const stores = range(STRIP).map((k) => `finish(block * 2, y + ${k}, x, a${k}); finish(block * 2 + 1, y + ${k}, x, b${k});`);
  return `${SIZES}
${declared("result", 1, "read_write")}
${declared("operand", 2)}
${declared("weights", 3)}
${declared("bias", 4)}
${addend ? declared("addend", 5) : ""}
fn at(group: i32, y: i32, x: i32) -> vec4f {
  let size = sizes[1];
  if (y < 0 || x < 0 || y >= size.y || x >= size.x) { return vec4f(); }
  return operand[(group * size.y + y) * size.x + x];
}
fn finish(group: i32, y: i32, x: i32, sum: vec4f) {
  let size = sizes[0];
  if (y >= size.y) { return; }
  let place = (group * size.y + y) * size.x + x;
  let value = sum + bias[group]${addend ? " + addend[place]" : ""};
  result[place] = ${relu ? "max(value, vec4f())" : "value"};
}
@compute @workgroup_size(${GROUP}, ${GROUP}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = i32(id.x);
  let y = i32(id.y) * ${STRIP};
  let block = i32(id.z);
  if (x >= sizes[0].x || y >= sizes[0].y) { return; }
  let top = y * ${stride} - ${reach};
  let left = x * ${stride} - ${reach};
  let groups = (sizes[1].z + 7) / 8 * 2;
  ${range(STRIP).map((k) => `var a${k} = vec4f(); var b${k} = vec4f();`).join("\n  ")}
  for (var tap = 0; tap < ${kernel ** 2}; tap++) {
    let down = tap / ${kernel};
    let across = tap % ${kernel};
    for (var group = 0; group < groups; group++) {
      let w = ((block * ${kernel ** 2} + tap) * groups + group) * 8;
      let a = mat4x4f(weights[w], weights[w + 1], weights[w + 2], weights[w + 3]);
      let b = mat4x4f(weights[w + 4], weights[w + 5], weights[w + 6], weights[w + 7]);
      ${sums.join("\n      ")}
    }
  }
  ${stores.join("\n  ")}
}`;
}
