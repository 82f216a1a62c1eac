/** Edge: the event stream (SSE) of a live, for networks that let no WebSocket through. It only listens. */
import { CODECS } from "./codec.js";
import type { Frame } from "./model.js";
import type { Ends, Line } from "./socket.js";

const REFUSED = 2;

export class EventsLine implements Line {
  readonly kind = "events";
  readonly #source: EventSource;
  readonly #ends: Ends;
  #opened = false;
  #over = false;
  /** The browser comes back by itself once, with the last id, so that the server can go on from there. */
  #faults = 0;

  constructor(source: EventSource, ends: Ends) {
    this.#source = source;
    this.#ends = ends;
    source.onopen = () => {
      this.#opened = true;
      ends.onOpen();
    };
    source.onmessage = (message: MessageEvent<unknown>) => this.#receive(message.data);
    source.onerror = () => {
      this.#faults += 1;
      this.#opened = false;
      // A second fault in a row: from here on our own back-off decides, which has jitter and an end.
      if (source.readyState === REFUSED || this.#faults > 1) this.#end();
    };
  }

  send(): boolean {
    return false;
  }

  check(): void {
    // Nothing can be asked over it, and the network may be another one: it is made anew.
    this.#end();
  }

  close(): void {
    this.#over = true;
    this.#source.onopen = this.#source.onmessage = this.#source.onerror = null;
    this.#source.close();
  }

  #receive(data: unknown): void {
    let frame: Frame | null;
    try {
      frame = CODECS.json.decode(data);
    } catch {
      this.#ends.onGarbage();
      return;
    }
    this.#faults = 0;
    if (frame !== null) this.#ends.onFrame(frame);
  }

  #end(): void {
    if (this.#over) return;
    this.close();
    this.#ends.onLost(0, this.#opened);
  }
}
