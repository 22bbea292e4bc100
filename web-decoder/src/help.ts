/**
 * Two workers for one picture. The worker that decodes it asks the page for a helper before each segment of the decoder network's
 * first stage and each part of the second, sends the inputs of the lower half through the page to that worker, and computes the upper
 * half meanwhile:
 *
 *     worker --HelpWanted--> page --HelpOffer--> worker --PartTask--> page --HelpRequest--> helper
 *     helper --Helped--> page --HelpResult--> worker
 *
 * Buffers are transferred, never shared, so that pages need no cross-origin isolation. Nothing waits for the page or the helper
 * without a limit: a part that nobody has computed in time is computed by the worker itself.
 */
import type { NetworkName } from "./engine.js";
import type { Rectangle, Samples } from "./executor.js";

/** How long a worker waits for the page to answer, which may be busy. In milliseconds. */
const OFFER_PATIENCE = 25;
/** The least time that a helper is given after the worker has finished its own part. In milliseconds. */
const MIN_RESULT_PATIENCE = 20;

/** What a stage reads to compute a part of a picture, and which of its samples or pixels are wanted. */
export interface PartTask {
  /** The index of a segment of the first stage, or their number for the second stage. */
  readonly stage: number;
  readonly inputs: readonly (readonly [name: string, samples: Samples])[];
  readonly wanted: Rectangle;
}

/**
 * Gives a task to another worker. What it returns waits for the result, `patience` milliseconds at most: float32 samples or,
 * after the second stage, bytes in RGBA. It is null if the other worker fails or takes longer.
 */
export type Helper = (task: PartTask) => (patience: number) => Promise<ArrayBuffer | null>;

/** Resolves to a helper that has nothing else to do, or to null. */
export type FindHelper = () => Promise<Helper | null>;

/** From a worker: it wants a helper that has loaded `network`. */
export interface HelpWanted {
  readonly helpWanted: NetworkName;
}
/** The page's answer: whether a helper is reserved for the worker, until its next task or the end of its picture. */
export interface HelpOffer {
  readonly offered: boolean;
}
/** From a worker: a task for the helper that is reserved for it. */
export interface HelpTask {
  readonly number: number;
  readonly task: PartTask;
}
/** To a helper: load `network` and, if there is a task, compute it. */
export interface HelpRequest {
  readonly network: NetworkName;
  readonly task: PartTask | null;
}
/** From a helper: the result of the task; null if it failed or there was none. */
export interface Helped {
  readonly helped: ArrayBuffer | null;
  readonly failed: boolean;
}
/** To a worker: the result of the task with this number. */
export interface HelpResult {
  readonly number: number;
  readonly result: ArrayBuffer | null;
}

/** A worker's side: asks the page for help, and keeps what it waits for. */
export class HelpDesk {
  private offer: ((offered: boolean) => void) | null = null;
  private readonly results = new Map<number, (bytes: ArrayBuffer | null) => void>();
  private count = 0;

  constructor(private readonly post: (message: HelpWanted | HelpTask, transferred: Transferable[]) => void) {}

  /** Finds helpers for one picture. After a failure it finds none. */
  forPicture(network: NetworkName): FindHelper {
    let failed = false;
    const helper: Helper = (task) => {
      const number = this.count++;
      const result = new Promise<ArrayBuffer | null>((resolve) => this.results.set(number, resolve));
      this.post({ number, task }, task.inputs.map(([, { data }]) => data.buffer));
      return async (patience) => {
        const bytes = await within(result, Math.max(patience, MIN_RESULT_PATIENCE));
        this.results.delete(number);
        failed ||= bytes === null;
        return bytes;
      };
    };
    return async () => {
      if (failed) return null;
      const offered = new Promise<boolean>((resolve) => (this.offer = resolve));
      this.post({ helpWanted: network }, []);
      return (await within(offered, OFFER_PATIENCE)) ? helper : null;
    };
  }

  /** Takes what the page sends. An answer that nobody waits for any more is dropped. */
  receive(message: HelpOffer | HelpResult): void {
    if ("offered" in message) this.offer?.(message.offered);
    else this.results.get(message.number)?.(message.result);
  }
}

/** What `promise` resolves to, or null after `milliseconds`. */
function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds, null);
    void promise.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
