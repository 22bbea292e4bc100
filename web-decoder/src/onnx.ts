/** Reading of ONNX files: the few fields of the protocol buffers that the decoder networks use. */
import { halfToFloat } from "./bytes.js";
import { modelError } from "./errors.js";

/** A constant of the graph, converted to float32 unless it is int8. */
export interface Constant {
  readonly dims: readonly number[];
  readonly data: Float32Array | Int8Array;
}

export interface Attribute {
  readonly int: number;
  readonly ints: readonly number[];
  readonly text: string;
  readonly tensor: Constant | null;
}

export interface GraphNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;
const FLOAT16 = 10;

/** A message: for each field number its values, numbers or bytes. */
type Message = Map<number, (number | Uint8Array)[]>;

function readMessage(data: Uint8Array): Message {
  const message: Message = new Map();
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = view.getUint8(position++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value >= 2 ** 63 ? value - 2 ** 64 : value;
    }
  };
  while (position < data.length) {
    const key = varint();
    const kind = key & 7;
    let value: number | Uint8Array;
    if (kind === 0) value = varint();
    else if (kind === 2) {
      const length = varint();
      value = data.subarray(position, position + length);
      position += length;
    } else if (kind === 5) {
      value = view.getFloat32(position, true);
      position += 4;
    } else throw modelError("The decoder network is not an ONNX file that this decoder can read.");
    const field = Math.floor(key / 8);
    const values = message.get(field);
    if (values) values.push(value);
    else message.set(field, [value]);
  }
  return message;
}

const messages = (message: Message, field: number): Message[] => (message.get(field) ?? []).map((value) => readMessage(value as Uint8Array));
const text = (value: unknown): string => (value instanceof Uint8Array ? new TextDecoder().decode(value) : "");
const texts = (message: Message, field: number): string[] => (message.get(field) ?? []).map(text);

/** Numbers of a repeated field, packed or not. */
function integers(message: Message, field: number): number[] {
  return (message.get(field) ?? []).flatMap((value) => {
    if (typeof value === "number") return [value];
    // A packed field holds varints one after another: a message of values without keys.
    const found: number[] = [];
    for (let position = 0; position < value.length; ) {
      let [number, shift] = [0, 0];
      do {
        number += (value[position]! & 0x7f) * 2 ** shift;
        shift += 7;
      } while (value[position++]! >= 0x80);
      found.push(number);
    }
    return found;
  });
}

function readTensor(message: Message): [string, Constant] {
  const dims = integers(message, 1);
  const type = message.get(2)?.[0];
  const raw = message.get(9)?.[0];
  const name = text(message.get(8)?.[0]);
  if (!(raw instanceof Uint8Array)) throw modelError(`The decoder network's constant ${name} is stored in a way that this decoder cannot read.`);
  const { buffer } = raw.slice();
  if (type === INT8) return [name, { dims, data: new Int8Array(buffer) }];
  if (type === FLOAT) return [name, { dims, data: new Float32Array(buffer) }];
  if (type === FLOAT16) return [name, { dims, data: Float32Array.from(new Uint16Array(buffer), halfToFloat) }];
  if (type === INT64) return [name, { dims, data: Float32Array.from(new BigInt64Array(buffer), Number) }];
  throw modelError(`The decoder network's constant ${name} has a type that this decoder cannot read.`);
}

/** Reads an ONNX file. The file is trusted: it is one of the decoder's own. */
export function readOnnx(data: Uint8Array): Graph {
  const model = readMessage(data);
  const graph = messages(model, 7)[0];
  if (graph === undefined) throw modelError("The decoder network is not an ONNX file.");
  const constants = new Map(messages(graph, 5).map(readTensor));
  return {
    constants,
    nodes: messages(graph, 1).map((node) => ({
      type: texts(node, 4)[0] ?? "",
      inputs: texts(node, 1),
      outputs: texts(node, 2),
      attributes: new Map(
        messages(node, 5).map((attribute) => [
          texts(attribute, 1)[0] ?? "",
          {
            int: Number(attribute.get(3)?.[0] ?? 0),
            ints: integers(attribute, 8),
            text: texts(attribute, 4)[0] ?? "",
            tensor: messages(attribute, 5).map(readTensor)[0]?.[1] ?? null,
          },
        ]),
      ),
    })),
    inputs: messages(graph, 11).map((input) => texts(input, 1)[0] ?? "").filter((name) => !constants.has(name)),
    outputs: messages(graph, 12).map((output) => texts(output, 1)[0] ?? ""),
  };
}
