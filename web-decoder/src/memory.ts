/** Memory that kernels share with the code that calls them. */

const PAGE = 65_536;
const ALIGNMENT = 64;

/** Allocates from the top of a memory, and frees everything above a mark. Views must be taken anew after an allocation. */
export class Arena {
  private top = ALIGNMENT;

  /** `memory`: that of a WebAssembly module. */
  constructor(private readonly memory: WebAssembly.Memory) {}

  get buffer(): ArrayBuffer {
    return this.memory.buffer as ArrayBuffer;
  }

  /** The address of `bytes` bytes. Their content is arbitrary. */
  allocate(bytes: number): number {
    const address = this.top;
    this.top = address + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    const missing = this.top - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    return address;
  }

  /** What `release` takes to free everything that is allocated from now on. */
  mark(): number {
    return this.top;
  }

  release(mark: number): void {
    this.top = mark;
  }

  zero(address: number, bytes: number): void {
    new Uint8Array(this.buffer, address, bytes).fill(0);
  }
}
