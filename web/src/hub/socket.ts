/** Edge: one WebSocket to the hub, from its opening to its end. It decides nothing about what comes next. */
import type { Codec } from "./codec.js";
import type { Command, Frame } from "./model.js";

/** What closes a connection, as the server numbers it. */
export const CLOSED = { passExpired: 4401, banned: 4403, tooLarge: 1009 } as const;

export interface Ends {
  onOpen: () => void;
  /** Before the first frame was decoded the line is not to be trusted with commands. */
  onFrame: (frame: Frame) => void;
  /** What came is not our protocol. */
  onGarbage: () => void;
  /** Once, however it ended. `opened`: it had been open. 0 when there was no code. */
  onLost: (code: number, opened: boolean) => void;
}

/** How a client speaks to the server, whichever way it came. */
export interface Line {
  readonly kind: "socket" | "events";
  /** false: nothing was sent. */
  send: (id: number, command: Command) => boolean;
  /** Is anybody there? Unless an answer comes soon, the line is lost. */
  check: () => void;
  close: () => void;
}

const OPEN_WITHIN_MS = 10_000;
const PING_EVERY_MS = 15_000;
/** At the beginning more often: of several samples of the clock one had a short way. */
const FIRST_PINGS_MS = [0, 400, 1_500] as const;
/** Nothing heard for this long (pongs included): the connection is dead, whatever the browser thinks. */
const SILENCE_MS = 35_000;
/** The same after a sleep or a change of network, when there is reason to doubt. */
const CHECK_WITHIN_MS = 4_000;

export class SocketLine implements Line {
  readonly kind = "socket";
  readonly #socket: WebSocket;
  readonly #codec: Codec;
  readonly #ends: Ends;
  #opened = false;
  #over = false;
  #heardAtMs = 0;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #beat: ReturnType<typeof setInterval> | null = null;

  constructor(socket: WebSocket, codec: Codec, ends: Ends) {
    this.#socket = socket;
    this.#codec = codec;
    this.#ends = ends;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#open();
    socket.onmessage = (message: MessageEvent<unknown>) => this.#receive(message.data);
    socket.onclose = (closed: CloseEvent) => this.#end(closed?.code ?? 0);
    this.#later(OPEN_WITHIN_MS, () => { if (!this.#opened) this.#end(0); });
  }

  send(id: number, command: Command): boolean {
    if (this.#over || !this.#opened) return false;
    this.#socket.send(this.#codec.encode(id, command));
    return true;
  }

  check(): void {
    if (!this.#opened) return;
    const askedAtMs = Date.now();
    this.#ping();
    this.#later(CHECK_WITHIN_MS, () => { if (this.#heardAtMs < askedAtMs) this.#end(0); });
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#beat !== null) clearInterval(this.#beat);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #open(): void {
    this.#opened = true;
    this.#heardAtMs = Date.now();
    // The first word is the client's resume; everything else comes after it.
    this.#ends.onOpen();
    for (const delayMs of FIRST_PINGS_MS) this.#later(delayMs, () => this.#ping());
    this.#beat = setInterval(() => {
      if (Date.now() - this.#heardAtMs > SILENCE_MS) this.#end(0);
      else this.#ping();
    }, PING_EVERY_MS);
  }

  #receive(data: unknown): void {
    this.#heardAtMs = Date.now();
    let frame: Frame | null;
    try {
      frame = this.#codec.decode(data);
    } catch {
      this.#ends.onGarbage();
      return;
    }
    if (frame !== null) this.#ends.onFrame(frame);
  }

  #ping(): void {
    this.send(0, { kind: "ping", clientAtMs: Date.now() });
  }

  #later(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }

  #end(code: number): void {
    if (this.#over) return;
    this.close();
    this.#ends.onLost(code, this.#opened);
  }
}
