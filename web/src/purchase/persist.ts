/** Sends one request until the server has said what became of it, or nobody would wait any longer. */
import { asProblem, type Problem } from "../api/problem";
import { Backoff } from "../hub/backoff";

export interface Persistence {
  onRetry?: ((problem: Problem) => void) | undefined;
  sleep?: ((ms: number) => Promise<void>) | undefined;
  random?: (() => number) | undefined;
}

/** Together with the back-off about 40 s: longer than a restart, shorter than a person's patience. */
const TRIES_MAX = 8;

/** `send` must be safe to repeat: the same key, or a change that can happen only once. */
export async function persist<T>(send: () => Promise<T>, { onRetry, sleep = pause, random }: Persistence): Promise<T> {
  const backoff = new Backoff(300, 8_000, random);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (!problem.retryable || attempt >= TRIES_MAX) throw problem;
      onRetry?.(problem);
      await sleep(backoff.next(problem.retryAfterMs));
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise<void>((resolve) => setTimeout(resolve, ms));
}
