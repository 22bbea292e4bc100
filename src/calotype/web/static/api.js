// The server's operations. Every failure is an Error with a sentence fit to show, and the HTTP status.

export class Refused extends Error {
  constructor(sentence, status = 0, smallest = null) {
    super(sentence);
    Object.assign(this, { status, smallest });
  }
}

const RETRIED = new Set([429, 503]);
const RETRIES = 4;

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + ".";

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const said = problem.error ?? `the server answered ${answer.status} ${answer.statusText}`;
  return new Refused(sentence(said), answer.status, problem.smallest ?? null);
}

async function attempt(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached.");
  }
}

/** A GET request's JSON. */
export async function ask(path) {
  const answer = await attempt(path);
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

/** Sends a file and gives {blob, remark}; a busy server is asked again a few times. */
export async function send(path, file, signal) {
  for (let tries = 0; ; tries += 1) {
    const answer = await attempt(path, { method: "POST", body: file, signal });
    if (answer.ok) return { blob: await answer.blob(), remark: answer.headers.get("X-Calotype-Remark") ?? "" };
    if (!RETRIED.has(answer.status) || tries === RETRIES) throw await refusal(answer);
    await new Promise((wake) => setTimeout(wake, 500 * 2 ** tries));
    signal.throwIfAborted();
  }
}
