/** Workers, and the queue of pictures that wait for them. */
import type { DecodeOptions, NetworkName, Reduction } from "./engine.js";
import { CalotypeError, modelError } from "./errors.js";
import type { Helped, HelpOffer, HelpRequest, HelpResult, HelpTask } from "./help.js";
import type { Answer, Decoded, Request, Wanted } from "./worker.js";

/** More workers would need more memory than they save time: each holds the networks and a tile, about 130 MB. */
const MAX_WORKERS = 2;
/** After this time without work all workers but one end. In milliseconds. */
const IDLE_TIME = 10_000;

/** What a job may have besides its data. */
export interface JobOptions {
  readonly options: DecodeOptions;
  readonly signal?: AbortSignal | undefined;
  readonly reduce?: Reduction | null;
  /** Called with a picture to show while the decoder network loads. */
  readonly early?: ((small: Decoded) => void) | undefined;
}

/** A picture to decode. */
interface Job {
  readonly kind: "job";
  readonly request: Request;
  readonly early: ((small: Decoded) => void) | undefined;
  readonly resolve: (decoded: Decoded) => void;
  readonly reject: (reason: unknown) => void;
}

/** A worker's part in the picture of another one. */
interface Help {
  readonly kind: "help";
  readonly network: NetworkName;
  /** The worker that is helped; null while the helper only loads the network. */
  readonly helped: Worker | null;
  /** The number of the task; null until there is one. */
  number: number | null;
}

class Pool {
  private readonly waiting: Job[] = [];
  /** The workers and what they do. */
  private readonly work = new Map<Worker, Job | Help | null>();
  /** The decoder networks that each worker has loaded. */
  private readonly networks = new WeakMap<Worker, Set<NetworkName>>();
  /** Workers that have sent something. */
  private readonly answered = new WeakSet<Worker>();
  private maxWorkers = Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency || 1));
  private count = 0;
  private helpFailed = false;
  private idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Makes a worker. */
  create = (): Worker => new Worker(trusted(new URL("./calotype-worker.js", import.meta.url).href), { type: "module", name: "calotype" });

  /** Decodes in a worker. When `signal` is aborted, the worker that is busy with the picture is ended. */
  run(data: Uint8Array, wanted: Wanted, { options, signal, reduce = null, early }: JobOptions): Promise<Decoded> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const job: Job = { kind: "job", request: { id: this.count++, data, options, wanted, reduce }, early, resolve, reject };
      this.waiting.push(job);
      signal?.addEventListener("abort", () => this.cancel(job, signal.reason), { once: true });
      this.start();
    });
  }

  private start(): void {
    while (this.waiting.length > 0) {
      let worker: Worker | null;
      try {
        worker = this.idle();
      } catch (error) {
        this.waiting.shift()!.reject(error);
        continue;
      }
      if (worker === null) return;
      const job = this.waiting.shift()!;
      this.work.set(worker, job);
      worker.postMessage(job.request);
    }
  }

  /** A worker with nothing to do, or null. Throws `ModelError` if no worker can be started. */
  private idle(): Worker | null {
    for (const [worker, work] of this.work) if (work === null) return worker;
    if (this.work.size >= this.maxWorkers) return null;
    try {
      return this.open();
    } catch (error) {
      if (this.work.size === 0) throw modelError(`The decoder's worker cannot be started: ${String(error)}.`);
      this.maxWorkers = this.work.size;
      return null;
    }
  }

  private open(): Worker {
    const worker = this.create();
    this.work.set(worker, null);
    this.networks.set(worker, new Set());
    worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.receive(worker, data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.fail(worker, event.message || "its script cannot be loaded");
    });
    return worker;
  }

  /** Ends a worker after an error. Its picture goes to another worker if this one has never run, and is rejected otherwise. */
  private fail(worker: Worker, reason: string): void {
    const work = this.work.get(worker);
    const others = this.work.size - 1;
    this.helpFailed ||= work?.kind === "help";
    if (!this.answered.has(worker) && others > 0) {
      this.maxWorkers = others;
      if (work?.kind === "job") this.waiting.unshift(work);
    } else if (work?.kind === "job") {
      work.reject(modelError(`The decoder's worker does not run: ${reason}.`));
    }
    this.end(worker);
  }

  private receive(worker: Worker, answer: Answer): void {
    const work = this.work.get(worker);
    this.answered.add(worker);
    if ("helpWanted" in answer) worker.postMessage({ offered: this.reserve(worker, answer.helpWanted) } satisfies HelpOffer);
    else if ("task" in answer) this.passTask(worker, answer);
    else if (work?.kind === "help" && "helped" in answer) this.passResult(worker, work, answer);
    else if (work?.kind === "job" && !("helped" in answer)) {
      if ("early" in answer) {
        work.early?.(answer);
        return;
      }
      this.finish(worker);
      if ("code" in answer) {
        work.reject(new CalotypeError(answer.code, answer.message));
        return;
      }
      const { wanted, options } = work.request;
      if (wanted === "pixels" || wanted === "bitmap") this.networks.get(worker)!.add(options.network ?? "pocket");
      work.resolve(answer);
    }
  }

  /**
   * Reserves a worker that has nothing to do for the picture of another one. If none has loaded the network, one loads it for the
   * pictures to come; but not with the first picture of a page, which may be its only one.
   */
  private reserve(helped: Worker, network: NetworkName): boolean {
    if (this.helperOf(helped)) return true;
    if (this.waiting.length > 0 || this.helpFailed || !this.networks.get(helped)?.has(network)) return false;
    const helper = this.idle();
    if (helper === null) return false;
    const ready = this.networks.get(helper)!.has(network);
    this.work.set(helper, { kind: "help", network, helped: ready ? helped : null, number: null });
    if (!ready) helper.postMessage({ network, task: null } satisfies HelpRequest);
    return ready;
  }

  /** The helper that is reserved for a worker and has no task yet. */
  private helperOf(helped: Worker): [Worker, Help] | null {
    for (const [worker, work] of this.work) if (work?.kind === "help" && work.helped === helped && work.number === null) return [worker, work];
    return null;
  }

  private passTask(helped: Worker, { number, task }: HelpTask): void {
    const [helper, help] = this.helperOf(helped) ?? [];
    if (!helper || !help) {
      helped.postMessage({ number, result: null } satisfies HelpResult);
      return;
    }
    help.number = number;
    helper.postMessage({ network: help.network, task } satisfies HelpRequest, buffersOf(task));
  }

  private passResult(helper: Worker, { network, helped, number }: Help, { helped: result, failed }: Helped): void {
    this.helpFailed ||= failed;
    if (!failed) this.networks.get(helper)!.add(network);
    if (number !== null && helped && this.work.has(helped)) {
      helped.postMessage({ number, result } satisfies HelpResult, result ? [result] : []);
    }
    this.finish(helper);
  }

  /** Lets a worker, and a helper that is reserved for it, do something else. */
  private finish(worker: Worker): void {
    const [helper] = this.helperOf(worker) ?? [];
    if (helper) this.work.set(helper, null);
    this.work.set(worker, null);
    this.start();
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => this.endIdle(), IDLE_TIME);
  }

  private endIdle(): void {
    for (const [worker, work] of this.work) if (work === null && this.work.size > 1) this.end(worker);
  }

  private end(worker: Worker): void {
    const work = this.work.get(worker);
    worker.terminate();
    const [helper] = this.helperOf(worker) ?? [];
    if (helper) this.work.set(helper, null);
    this.work.delete(worker);
    if (work?.kind === "help" && work.number !== null) work.helped?.postMessage({ number: work.number, result: null } satisfies HelpResult);
    this.start();
  }

  private cancel(job: Job, reason: unknown): void {
    const place = this.waiting.indexOf(job);
    if (place >= 0) this.waiting.splice(place, 1);
    job.reject(reason);
    for (const [worker, work] of this.work) if (work === job) this.end(worker);
  }
}

const buffersOf = ({ inputs }: HelpTask["task"]): Transferable[] => inputs.map(([, { data }]) => data.buffer);

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
