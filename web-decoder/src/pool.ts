/** Workers, and the queue of pictures that wait for them. */
import type { DecodeOptions } from "./engine.js";
import { CalotypeError, modelError } from "./errors.js";
import type { Answer, Request } from "./worker.js";

/** More workers would need more memory than they save time: each holds the networks and a tile, about 130 MB. */
const MAX_WORKERS = 2;

export interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly pixels?: Uint8ClampedArray;
  readonly bitmap?: ImageBitmap;
}

interface Job {
  readonly request: Request;
  readonly resolve: (decoded: Decoded) => void;
  readonly reject: (reason: unknown) => void;
}

class Pool {
  private readonly waiting: Job[] = [];
  private readonly running = new Map<Worker, Job | null>();
  private count = 0;

  /** Decodes in a worker. When `signal` is aborted, the worker that is busy with the picture is ended. */
  run(data: Uint8Array, wanted: Request["wanted"], options: DecodeOptions, signal?: AbortSignal): Promise<Decoded> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const job: Job = { request: { id: this.count++, data, options, wanted }, resolve, reject };
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
    const worker = new Worker(new URL("./calotype-worker.js", import.meta.url), { type: "module", name: "calotype" });
    this.running.set(worker, null);
    worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      const job = this.running.get(worker);
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

export const pool = new Pool();
