/**
 * Pure: the server's clock as seen from here. A pong's sample is good to half its round trip, so the sample with the
 * shortest trip is trusted; it ages, because a device's clock may drift or be set.
 */
const SAMPLE_TTL_MS = 5 * 60_000;
/** What a one-way message (snapshot, resumed) is worth: any measured trip is better. */
const ONE_WAY_TRIP_MS = 2_000;

export class ServerClock {
  #offsetMs = 0;
  #tripMs = Number.POSITIVE_INFINITY;
  #takenAtMs = 0;

  constructor(private readonly now: () => number = Date.now) {}

  sample(serverAtMs: number, sentAtMs: number | null): void {
    const receivedAtMs = this.now();
    if (serverAtMs <= 0) return;
    const tripMs = sentAtMs === null ? ONE_WAY_TRIP_MS : Math.max(0, receivedAtMs - sentAtMs);
    const stale = receivedAtMs - this.#takenAtMs > SAMPLE_TTL_MS;
    if (!stale && tripMs > this.#tripMs) return;
    this.#offsetMs = serverAtMs - (sentAtMs === null ? receivedAtMs : sentAtMs + tripMs / 2);
    this.#tripMs = tripMs;
    this.#takenAtMs = receivedAtMs;
  }

  nowMs(): number {
    return this.now() + this.#offsetMs;
  }
}
