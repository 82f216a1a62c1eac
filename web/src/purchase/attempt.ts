/**
 * One wish to buy, however often it must be sent: the same key goes with the same body until the server has said what
 * became of it, so a lost answer, a second tap or a reconnect never buys twice.
 */
import { asProblem, type Problem } from "../api/problem";
import type { Purchase, PurchaseRequest } from "../api/types";
import { Backoff } from "../hub/backoff";
import { uuid } from "./uuid";

export interface AttemptOptions {
  post: (request: PurchaseRequest, key: string) => Promise<Purchase>;
  onRetry?: (problem: Problem) => void;
  newKey?: () => string;
  sleep?: (ms: number) => Promise<void>;
  random?: () => number;
}

/** Together with the back-off about 40 s: longer than a restart, shorter than a person's patience. */
const TRIES_MAX = 8;

export class PurchaseAttempt {
  #body = "";
  #key = "";

  constructor(private readonly options: AttemptOptions) {}

  async place(request: PurchaseRequest): Promise<Purchase> {
    const body = JSON.stringify([request.offer_id, request.qty, request.confirmation_hash, request.payment_method]);
    if (this.#key === "" || this.#body !== body) {
      this.#key = (this.options.newKey ?? uuid)();
      this.#body = body;
    }
    const sleep = this.options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
    const backoff = new Backoff(300, 8_000, this.options.random);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const purchase = await this.options.post(request, this.#key);
        this.#key = "";
        return purchase;
      } catch (thrown) {
        const problem = asProblem(thrown);
        if (!problem.retryable) {
          // The server's last word on this key; the next tap is a new wish.
          this.#key = "";
          throw problem;
        }
        if (attempt >= TRIES_MAX) throw problem;
        this.options.onRetry?.(problem);
        await sleep(backoff.next(problem.retryAfterMs));
      }
    }
  }
}
