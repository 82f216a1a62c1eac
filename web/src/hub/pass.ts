/**
 * Pure: the pass of a connection's person: which one to offer, and when to ask for the next.
 *
 * Invariant: a pass is never offered after it has expired, nor to the next person.
 */
import type { Pass } from "./model.js";

/** Too close to its end to be worth the way. */
const MARGIN_MS = 2_000;
/** Asked for anew after this share of its life, so that a failed try leaves time for more. */
const REFRESH_AFTER = 0.7;
/** And up to this share earlier, so that a room that came at once does not ask at once. */
const SPREAD = 0.2;
const REFRESH_SOONEST_MS = 1_000;
/** A timer holds no more than some weeks. */
const REFRESH_LATEST_MS = 24 * 3_600_000;
/** What a subprotocol's name may be made of (RFC 9110, token). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export class PassKeeper {
  #pass: Pass | null;

  constructor(pass: Pass | null = null) {
    this.#pass = pass;
  }

  keep(pass: Pass): void {
    this.#pass = TOKEN.test(pass.token) ? pass : null;
  }

  drop(): void {
    this.#pass = null;
  }

  /** As a subprotocol to offer; null = come by cookie. */
  offer(nowMs: number): string | null {
    return this.#pass !== null && this.#pass.expiresAtMs - MARGIN_MS > nowMs ? `pass.${this.#pass.token}` : null;
  }

  /** How long until a newer one is asked for; null = there is none to renew. */
  refreshInMs(nowMs: number, random: number): number | null {
    if (this.#pass === null) return null;
    const life = this.#pass.expiresAtMs - nowMs;
    return Math.min(REFRESH_LATEST_MS, Math.max(REFRESH_SOONEST_MS, life * (REFRESH_AFTER - SPREAD * random)));
  }
}
