/**
 * Pure: how long to wait before the next try. The ceiling doubles up to a cap, and the wait is anywhere below it (full jitter),
 * so that a room does not return as one.
 */
export class Backoff {
  #tries = 0;

  constructor(
    private readonly baseMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  reset(): void {
    this.#tries = 0;
  }

  /** `atLeastMs` is what the other side asked for; the jitter comes on top of it. */
  next(atLeastMs = 0): number {
    const ceiling = Math.min(this.capMs, this.baseMs * 2 ** Math.min(this.#tries, 16));
    this.#tries += 1;
    return atLeastMs + ceiling * this.random();
  }
}
