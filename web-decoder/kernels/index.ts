// The decoder's inner loops, in AssemblyScript. Feature maps are stored with the channels last, addresses and strides are in bytes, and
// the caller allocates; src/kernels.ts describes the parameters. Compiled twice: with the fused multiply-add of relaxed SIMD, and
// without for browsers that lack it. Only the floating-point kernels use it, so that the integers do not depend on the choice.

@inline function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

// Four sums of a layer of the context model, scaled, rounded down and clipped. |sum| is at most 2^24, |multiplier| below 2^24 and
// |bias| below 2^48, so that doubles are exact.
@inline function scaled(sums: v128, multipliers: usize, biases: usize, low: v128, high: v128): v128 {
  const unit = f64x2.splat(1.0 / 65536.0);
  const first = f64x2.floor(f64x2.mul(f64x2.add(f64x2.mul(f64x2.convert_low_i32x4_s(sums), v128.load(multipliers)), v128.load(biases)), unit));
  const upper = i8x16.shuffle(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  const second = f64x2.floor(f64x2.mul(f64x2.add(f64x2.mul(f64x2.convert_low_i32x4_s(upper), v128.load(multipliers, 16)), v128.load(biases, 16)), unit));
  const a = i32x4.trunc_sat_f64x2_s_zero(f64x2.max(f64x2.min(first, high), low));
  const b = i32x4.trunc_sat_f64x2_s_zero(f64x2.max(f64x2.min(second, high), low));
  return i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}

// A convolution of int16 numbers, four pixels by eight outputs at a time. Each instruction multiplies a pair of neighbouring inputs by
// the weights of four outputs, and adds the two products to four sums of int32.
export function convolveIntegers(
  input: usize, inputPixel: i32, inputRow: i32, kernelRows: i32, pairs: i32,
  weights: usize, multipliers: usize, biases: usize, low: i32, high: i32,
  output: usize, outputPixel: i32, outputRow: i32, width: i32, height: i32, outputs: i32,
): void {
  const lowest = f64x2.splat(<f64>low), highest = f64x2.splat(<f64>high);
  const weightStep: usize = outputs << 2;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x += 4) {
      // Beyond the end of the row the last pixel is computed again.
      const x1 = min(x + 1, width - 1), x2 = min(x + 2, width - 1), x3 = min(x + 3, width - 1);
      const row: usize = input + y * inputRow;
      const target: usize = output + y * outputRow;
      for (let o = 0; o < outputs; o += 8) {
        let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
        let w: usize = weights + (o << 2);
        for (let k = 0; k < kernelRows; k++) {
          let p0: usize = row + k * inputRow + x * inputPixel, p1: usize = row + k * inputRow + x1 * inputPixel;
          let p2: usize = row + k * inputRow + x2 * inputPixel, p3: usize = row + k * inputRow + x3 * inputPixel;
          const end: usize = p0 + (pairs << 2);
          while (p0 < end) {
            const wa = v128.load(w), wb = v128.load(w, 16);
            let a = v128.load_splat<i32>(p0);
            s0 = i32x4.add(s0, i32x4.dot_i16x8_s(a, wa));
            s1 = i32x4.add(s1, i32x4.dot_i16x8_s(a, wb));
            a = v128.load_splat<i32>(p1);
            s2 = i32x4.add(s2, i32x4.dot_i16x8_s(a, wa));
            s3 = i32x4.add(s3, i32x4.dot_i16x8_s(a, wb));
            a = v128.load_splat<i32>(p2);
            s4 = i32x4.add(s4, i32x4.dot_i16x8_s(a, wa));
            s5 = i32x4.add(s5, i32x4.dot_i16x8_s(a, wb));
            a = v128.load_splat<i32>(p3);
            s6 = i32x4.add(s6, i32x4.dot_i16x8_s(a, wa));
            s7 = i32x4.add(s7, i32x4.dot_i16x8_s(a, wb));
            p0 += 4; p1 += 4; p2 += 4; p3 += 4;
            w += weightStep;
          }
        }
        const m: usize = multipliers + (o << 3), b: usize = biases + (o << 3), t: usize = target + (o << 1);
        v128.store(t + x * outputPixel, i16x8.narrow_i32x4_s(scaled(s0, m, b, lowest, highest), scaled(s1, m + 32, b + 32, lowest, highest)));
        v128.store(t + x1 * outputPixel, i16x8.narrow_i32x4_s(scaled(s2, m, b, lowest, highest), scaled(s3, m + 32, b + 32, lowest, highest)));
        v128.store(t + x2 * outputPixel, i16x8.narrow_i32x4_s(scaled(s4, m, b, lowest, highest), scaled(s5, m + 32, b + 32, lowest, highest)));
        v128.store(t + x3 * outputPixel, i16x8.narrow_i32x4_s(scaled(s6, m, b, lowest, highest), scaled(s7, m + 32, b + 32, lowest, highest)));
      }
    }
  }
}

// The sum of a convolution with its addend, after the ReLU.
@inline function finished(sum: v128, addend: usize, relu: i32): v128 {
  if (addend) sum = f32x4.add(sum, v128.load(addend));
  return relu ? f32x4.max(sum, f32x4.splat(0)) : sum;
}

// A direct convolution, six pixels by eight outputs at a time: as many sums as the registers hold. A row of the kernel reads `run`
// numbers that lie side by side. Winograd's algorithm uses it as a matrix product, with a kernel of one pixel.
export function convolveFloats(
  input: usize, inputStepX: i32, inputStepY: i32, inputRow: i32, kernelRows: i32, run: i32,
  weights: usize, bias: usize, addend: usize, relu: i32,
  output: usize, outputPixel: i32, outputRow: i32, width: i32, height: i32, outputs: i32,
): void {
  const weightsOfBlock: usize = <usize>(kernelRows * run) << 5;
  const last = width - 1;
  for (let y = 0; y < height; y++) {
    const row: usize = input + y * inputStepY;
    let blockWeights: usize = weights;
    for (let o = 0; o < outputs; o += 8) {
      const b0 = bias ? v128.load(bias + (o << 2)) : f32x4.splat(0);
      const b1 = bias ? v128.load(bias + (o << 2), 16) : f32x4.splat(0);
      const target: usize = y * outputRow + (o << 2);
      for (let x = 0; x < width; x += 6) {
        // Beyond the end of the row the last pixel is computed again.
        const x1 = min(x + 1, last), x2 = min(x + 2, last), x3 = min(x + 3, last), x4 = min(x + 4, last), x5 = min(x + 5, last);
        let s0 = b0, s1 = b1, s2 = b0, s3 = b1, s4 = b0, s5 = b1, s6 = b0, s7 = b1, s8 = b0, s9 = b1, s10 = b0, s11 = b1;
        let w: usize = blockWeights;
        for (let k = 0; k < kernelRows; k++) {
          const start: usize = row + k * inputRow;
          let p0: usize = start + x * inputStepX, p1: usize = start + x1 * inputStepX, p2: usize = start + x2 * inputStepX;
          let p3: usize = start + x3 * inputStepX, p4: usize = start + x4 * inputStepX, p5: usize = start + x5 * inputStepX;
          const end: usize = p0 + (run << 2);
          while (p0 < end) {
            const wa = v128.load(w), wb = v128.load(w, 16);
            let a = v128.load_splat<f32>(p0);
            s0 = madd(a, wa, s0);
            s1 = madd(a, wb, s1);
            a = v128.load_splat<f32>(p1);
            s2 = madd(a, wa, s2);
            s3 = madd(a, wb, s3);
            a = v128.load_splat<f32>(p2);
            s4 = madd(a, wa, s4);
            s5 = madd(a, wb, s5);
            a = v128.load_splat<f32>(p3);
            s6 = madd(a, wa, s6);
            s7 = madd(a, wb, s7);
            a = v128.load_splat<f32>(p4);
            s8 = madd(a, wa, s8);
            s9 = madd(a, wb, s9);
            a = v128.load_splat<f32>(p5);
            s10 = madd(a, wa, s10);
            s11 = madd(a, wb, s11);
            p0 += 4; p1 += 4; p2 += 4; p3 += 4; p4 += 4; p5 += 4;
            w += 32;
          }
        }
        storePair(output, addend, target + x * outputPixel, s0, s1, relu);
        storePair(output, addend, target + x1 * outputPixel, s2, s3, relu);
        storePair(output, addend, target + x2 * outputPixel, s4, s5, relu);
        storePair(output, addend, target + x3 * outputPixel, s6, s7, relu);
        storePair(output, addend, target + x4 * outputPixel, s8, s9, relu);
        storePair(output, addend, target + x5 * outputPixel, s10, s11, relu);
      }
      blockWeights += weightsOfBlock;
    }
  }
}

@inline function storePair(output: usize, addend: usize, place: usize, a: v128, b: v128, relu: i32): void {
  const added: usize = addend ? addend + place : 0;
  v128.store(output + place, finished(a, added, relu));
  v128.store(output + place, finished(b, added ? added + 16 : 0, relu), 16);
}

// ONNX's DepthToSpace of mode CRD with blocks of 2x2 pixels: channel 4c + 2i + j of a pixel becomes channel c of the pixel at row i and
// column j of its block. `outputs` is a multiple of 4: each step transposes the four channels of four outputs.
export function depthToSpace(
  input: usize, inputPixel: i32, inputRow: i32, output: usize, outputPixel: i32, outputRow: i32, width: i32, height: i32, outputs: i32,
): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block: usize = output + 2 * y * outputRow + 2 * x * outputPixel;
      let source: usize = input + y * inputRow + x * inputPixel;
      for (let o = 0; o < outputs; o += 4) {
        const a = v128.load(source), b = v128.load(source, 16), c = v128.load(source, 32), d = v128.load(source, 48);
        const ab0 = i32x4.shuffle(a, b, 0, 4, 1, 5), ab1 = i32x4.shuffle(a, b, 2, 6, 3, 7);
        const cd0 = i32x4.shuffle(c, d, 0, 4, 1, 5), cd1 = i32x4.shuffle(c, d, 2, 6, 3, 7);
        const target: usize = block + (o << 2);
        v128.store(target, i64x2.shuffle(ab0, cd0, 0, 2));
        v128.store(target + outputPixel, i64x2.shuffle(ab0, cd0, 1, 3));
        v128.store(target + outputRow, i64x2.shuffle(ab1, cd1, 0, 2));
        v128.store(target + outputRow + outputPixel, i64x2.shuffle(ab1, cd1, 1, 3));
        source += 64;
      }
    }
  }
}

// Winograd's F(4x4, 3x3), after Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): U = G g G', V = B' d B,
// output = A' (U V) A. The 36 products are stored apart: U[36][outputs / 8][inputs][8], V[36][tiles][inputs], M[36][tiles][outputs].

const POINTS: usize = 36;

// The distance of two points of U, V or M, an odd multiple of a cache line. With a power of two, all 36 would share a set of the cache.
@inline function planeBytes(rows: i32, columns: i32): usize {
  return (((<usize>(rows * columns) << 2) + 127) & ~127) + 64;
}

export function winogradWeightBytes(inputs: i32, outputs: i32): usize {
  return POINTS * planeBytes(inputs, outputs);
}

const LOCAL_BYTES: usize = 1024;

export function winogradScratchBytes(inputs: i32, outputs: i32, tiles: i32): usize {
  return LOCAL_BYTES + POINTS * (planeBytes(tiles, inputs) + planeBytes(tiles, outputs));
}

@inline function fourBytes(place: usize, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(place)))), scale);
}

// G, which transforms the taps of a kernel, applied to three vectors, into six that lie `to` apart.
@inline function transformTaps(a: v128, b: v128, c: v128, target: usize, to: usize): void {
  const sixth = f32x4.splat(-1.0 / 6.0), twelfth = f32x4.splat(1.0 / 12.0);
  v128.store(target, f32x4.mul(a, f32x4.splat(0.25)));
  const ends = f32x4.add(a, c);
  v128.store(target + to, f32x4.mul(f32x4.add(ends, b), sixth));
  v128.store(target + 2 * to, f32x4.mul(f32x4.sub(ends, b), sixth));
  const even = madd(a, f32x4.splat(1.0 / 24.0), f32x4.mul(c, f32x4.splat(1.0 / 6.0)));
  v128.store(target + 3 * to, madd(b, twelfth, even));
  v128.store(target + 4 * to, f32x4.sub(even, f32x4.mul(b, twelfth)));
  v128.store(target + 5 * to, c);
}

// U of all weights, which are stored as int8[outputs / 8][inputs][9][8] with a scale for each output. `scratch`: 18 vectors.
export function transformWeights(weights: usize, scales: usize, inputs: i32, outputs: i32, target: usize, scratch: usize): void {
  const plane = planeBytes(inputs, outputs);
  let source: usize = weights, place: usize = target;
  for (let o = 0; o < outputs; o += 8) {
    for (let i = 0; i < inputs; i++) {
      for (let half: usize = 0; half < 2; half++) {
        const scale = v128.load(scales + (o << 2) + (half << 4));
        const g: usize = source + (half << 2);
        for (let column: usize = 0; column < 3; column++) {
          const tap: usize = g + (column << 3);
          transformTaps(fourBytes(tap, scale), fourBytes(tap + 24, scale), fourBytes(tap + 48, scale), scratch + (column << 4), 48);
        }
        for (let row: usize = 0; row < 6; row++) {
          const line: usize = scratch + row * 48;
          transformTaps(v128.load(line), v128.load(line, 16), v128.load(line, 32), place + row * 6 * plane + (half << 4), plane);
        }
      }
      source += 72;
      place += 32;
    }
  }
}

// B', which transforms a tile of the input, applied to six vectors that lie `from` apart, into six that lie `to` apart.
@inline function transformInput(source: usize, from: usize, target: usize, to: usize): void {
  const two = f32x4.splat(2), four = f32x4.splat(4), minusFive = f32x4.splat(-5);
  const d0 = v128.load(source), d1 = v128.load(source + from), d2 = v128.load(source + 2 * from);
  const d3 = v128.load(source + 3 * from), d4 = v128.load(source + 4 * from), d5 = v128.load(source + 5 * from);
  v128.store(target, madd(four, d0, madd(minusFive, d2, d4)));
  const even = f32x4.sub(d4, f32x4.mul(four, d2)), odd = f32x4.sub(d3, f32x4.mul(four, d1));
  v128.store(target + to, f32x4.add(even, odd));
  v128.store(target + 2 * to, f32x4.sub(even, odd));
  const difference = f32x4.sub(d4, d2), twice = f32x4.mul(two, f32x4.sub(d3, d1));
  v128.store(target + 3 * to, f32x4.add(difference, twice));
  v128.store(target + 4 * to, f32x4.sub(difference, twice));
  v128.store(target + 5 * to, madd(four, d1, madd(minusFive, d3, d5)));
}

// A', which makes a tile of the output, applied to six vectors that lie `from` apart, into four that lie `to` apart.
@inline function transformOutput(source: usize, from: usize, target: usize, to: usize): void {
  const m0 = v128.load(source), m1 = v128.load(source + from), m2 = v128.load(source + 2 * from);
  const m3 = v128.load(source + 3 * from), m4 = v128.load(source + 4 * from), m5 = v128.load(source + 5 * from);
  const a = f32x4.add(m1, m2), b = f32x4.sub(m1, m2), c = f32x4.add(m3, m4), d = f32x4.sub(m3, m4);
  v128.store(target, f32x4.add(m0, f32x4.add(a, c)));
  v128.store(target + to, madd(f32x4.splat(2), d, b));
  v128.store(target + 2 * to, madd(f32x4.splat(4), c, a));
  v128.store(target + 3 * to, f32x4.add(m5, madd(f32x4.splat(8), d, b)));
}

// A 3x3 convolution of `tiles` tiles at a time, so that their transforms stay in the cache: the inputs' transforms, 36 matrix products, and
// the transforms of the products.
export function convolveWinograd(
  input: usize, inputRow: i32, inputs: i32, weights: usize, bias: usize, addend: usize, relu: i32,
  output: usize, outputRow: i32, outputs: i32, width: i32, height: i32, scratch: usize, tiles: i32,
): void {
  const across = (width + 3) >> 2, count = across * ((height + 3) >> 2);
  const local: usize = scratch, v: usize = scratch + LOCAL_BYTES;
  const vPlane = planeBytes(tiles, inputs), mPlane = planeBytes(tiles, outputs), uPlane = planeBytes(inputs, outputs);
  const m: usize = v + POINTS * vPlane;
  for (let first = 0; first < count; first += tiles) {
    const batch = min(tiles, count - first);
    for (let t = 0; t < batch; t++) {
      const y = (first + t) / across * 4, x = (first + t) % across * 4;
      const corner: usize = input + y * inputRow + ((x * inputs) << 2);
      for (let c = 0; c < inputs; c += 4) {
        const source: usize = corner + (c << 2);
        for (let column = 0; column < 6; column++) {
          transformInput(source + ((column * inputs) << 2), inputRow, local + (column << 4), 96);
        }
        const target: usize = v + ((t * inputs + c) << 2);
        for (let row = 0; row < 6; row++) transformInput(local + row * 96, 16, target + row * 6 * vPlane, vPlane);
      }
    }
    for (let point: usize = 0; point < POINTS; point++) {
      convolveFloats(
        v + point * vPlane, inputs << 2, 0, 0, 1, inputs, weights + point * uPlane, 0, 0, 0, m + point * mPlane, outputs << 2, 0,
        batch, 1, outputs,
      );
    }
    for (let t = 0; t < batch; t++) {
      const y = (first + t) / across * 4, x = (first + t) % across * 4;
      const rows = min(4, height - y), columns = min(4, width - x);
      for (let o = 0; o < outputs; o += 4) {
        const source: usize = m + ((t * outputs + o) << 2);
        for (let column = 0; column < 6; column++) transformOutput(source + column * mPlane, 6 * mPlane, local + (column << 4), 96);
        const b = v128.load(bias + (o << 2));
        for (let row = 0; row < rows; row++) {
          transformOutput(local + row * 96, 16, local + 512, 16);
          for (let column = 0; column < columns; column++) {
            const place: usize = (y + row) * outputRow + (((x + column) * outputs + o) << 2);
            const sum = f32x4.add(v128.load(local + 512 + (column << 4)), b);
            v128.store(output + place, finished(sum, addend ? addend + place : 0, relu));
          }
        }
      }
    }
  }
}
