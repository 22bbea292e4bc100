/** Workers, and the queue of pictures that wait for them. */
import type { DecodeOptions, Reduction } from "./engine.js";
import { CalotypeError, modelError } from "./errors.js";
import type { Answer, Decoded, Request, Wanted } from "./worker.js";

/** More workers would need more memory than they save time: each holds the networks and a tile, about 130 MB. */
const MAX_WORKERS = 2;

/** What a job may have besides its data. */
export interface JobOptions {
  readonly options: DecodeOptions;
  readonly signal?: AbortSignal | undefined;
  readonly reduce?: Reduction | null;
  /** Called with a picture to show while the decoder network loads. */
  readonly early?: ((small: Decoded) => void) | undefined;
}

interface Job {
  readonly request: Request;
  readonly early: ((small: Decoded) => void) | undefined;
  readonly resolve: (decoded: Decoded) => void;
  readonly reject: (reason: unknown) => void;
}

class Pool {
  private readonly waiting: Job[] = [];
  private readonly running = new Map<Worker, Job | null>();
  private count = 0;
  /** Makes a worker. */
  create = (): Worker => new Worker(trusted(new URL("./calotype-worker.js", import.meta.url).href), { type: "module", name: "calotype" });

  /** Decodes in a worker. When `signal` is aborted, the worker that is busy with the picture is ended. */
  run(data: Uint8Array, wanted: Wanted, { options, signal, reduce = null, early }: JobOptions): Promise<Decoded> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const job: Job = { request: { id: this.count++, data, options, wanted, reduce }, early, resolve, reject };
      this.waiting.push(job);
      signal?.addEventListener("abort", () => this.cancel(job, signal.reason), { once: true });
      this.start();
    });
  }

  private start(): void {
    while (this.waiting.length > 0) {
      const worker = this.idle();
      if (worker === null) return;
      const job = this.waiting.shift()!;
      this.running.set(worker, job);
      worker.postMessage(job.request);
    }
  }

  private idle(): Worker | null {
    for (const [worker, job] of this.running) if (job === null) return worker;
    const most = Math.max(1, Math.min(MAX_WORKERS, (navigator.hardwareConcurrency || 2) - 1));
    return this.running.size < most ? this.open() : null;
  }

  private open(): Worker {
    const worker = this.create();
    this.running.set(worker, null);
    worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      const job = this.running.get(worker);
      if ("early" in data) {
        job?.early?.(data);
        return;
      }
      this.running.set(worker, null);
      if ("code" in data) job?.reject(new CalotypeError(data.code, data.message));
      else job?.resolve(data);
      this.start();
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const job = this.running.get(worker);
      this.end(worker);
      job?.reject(modelError(`The decoder's worker does not run: ${event.message || "its script cannot be loaded"}.`));
    });
    return worker;
  }

  private end(worker: Worker): void {
    worker.terminate();
    this.running.delete(worker);
    this.start();
  }

  private cancel(job: Job, reason: unknown): void {
    const place = this.waiting.indexOf(job);
    if (place >= 0) this.waiting.splice(place, 1);
    job.reject(reason);
    for (const [worker, running] of this.running) if (running === job) this.end(worker);
  }
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (address: string) => string }): { createScriptURL: (address: string) => string };
}
let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

/** The address of a script for pages that allow only those of a policy; its name is "calotype". */
export function trusted(address: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  policy ??= trustedTypes?.createPolicy("calotype", { createScriptURL: (given) => given });
  return policy ? policy.createScriptURL(address) : address;
}

export const pool = new Pool();
