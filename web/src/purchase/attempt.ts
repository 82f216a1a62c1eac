/**
 * One wish to buy, however often it must be sent: the same key goes with the same body until the server has said what
 * became of it, so a lost answer, a second tap or a reconnect never buys twice.
 */
import { asProblem } from "../api/problem";
import type { Purchase, PurchaseRequest } from "../api/types";
import { persist, type Persistence } from "./persist";
import { uuid } from "./uuid";

export interface AttemptOptions extends Persistence {
  post: (request: PurchaseRequest, key: string) => Promise<Purchase>;
  newKey?: () => string;
}

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
    const key = this.#key;
    try {
      const purchase = await persist(() => this.options.post(request, key), this.options);
      this.#key = "";
      return purchase;
    } catch (thrown) {
      // A refusal is the server's last word on this key, and the next tap a new wish. Without a word the key stays.
      if (!asProblem(thrown).retryable) this.#key = "";
      throw thrown;
    }
  }
}
