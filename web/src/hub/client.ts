/**
 * The hub's connection: keeps one WebSocket to a live, resumes after a loss, and turns commands into promises.
 * It shows nothing and knows no framework; what it knows is `room`, and `onChange` tells when that changed.
 */
import { Problem, problemName } from "../api/problem";
import { Backoff } from "./backoff";
import { ServerClock } from "./clock";
import { decodeFrame, encodeCommand, SUBPROTOCOL } from "./codec";
import type { Command, Frame, Personal, ReplyResult } from "./model";
import { applyFrame, EMPTY_ROOM, withoutPerson, withUpvote, type Room } from "./room";

/** connecting: no word from the server yet; ready: in step; closed: told not to come back, or left. */
export type HubStatus = "connecting" | "ready" | "closed";

export interface HubOptions {
  url: string;
  onChange: (room: Room) => void;
  onStatus?: (status: HubStatus) => void;
  open?: (url: string, protocol: string) => WebSocket;
  random?: () => number;
}

const PING_EVERY_MS = 15_000;
/** Nothing heard for this long (pongs included): the connection is dead, whatever the browser thinks. */
const SILENCE_MS = 35_000;
const REPLY_WITHIN_MS = 10_000;
const RETRY_BASE_MS = 400;
const RETRY_CAP_MS = 10_000;
/** Commands that wait for a connection; more are refused at once. */
const WAITING_MAX = 32;

interface Pending {
  command: Command;
  sent: boolean;
  resolve: (result: ReplyResult) => void;
  reject: (problem: Problem) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class HubClient {
  readonly clock = new ServerClock();
  room: Room = EMPTY_ROOM;
  status: HubStatus = "connecting";

  #socket: WebSocket | null = null;
  #nextId = 1;
  #pending = new Map<number, Pending>();
  #retry: ReturnType<typeof setTimeout> | null = null;
  #ping: ReturnType<typeof setInterval> | null = null;
  #heardAtMs = 0;
  #fresh = false;
  readonly #backoff: Backoff;

  constructor(private readonly options: HubOptions) {
    this.#backoff = new Backoff(RETRY_BASE_MS, RETRY_CAP_MS, options.random);
  }

  start(): void {
    if (this.#socket !== null || this.status === "closed") return;
    const open = this.options.open ?? ((url: string, protocol: string) => new WebSocket(url, protocol));
    const socket = open(this.options.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (message: MessageEvent<unknown>) => {
      if (socket === this.#socket && message.data instanceof ArrayBuffer) this.#receive(new Uint8Array(message.data));
    };
    socket.onclose = () => this.#lost(socket, 0);
  }

  stop(): void {
    this.#setStatus("closed");
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#drop();
    this.#failAll(true);
  }

  /** Reconnects at once as whoever is signed in now, and asks for a snapshot: personal parts belong to a connection. */
  rejoin(): void {
    if (this.status === "closed") return;
    this.#fresh = true;
    this.#setRoom(withoutPerson(this.room));
    this.#reconnectIn(0);
  }

  /** What a REST answer told counts like the hub's own word: of two states of a thing the newer one stays. */
  learn(told: Personal): void {
    const { room } = applyFrame(this.room, told);
    if (room !== this.room) this.#setRoom(room);
  }

  /** For what needs no answer (reactions, clicks); lost when there is no connection. */
  tell(command: Command): void {
    if (this.status === "ready") this.#write(0, command);
  }

  /** Sends a command, waiting for the connection if need be. Fails with a Problem; `network` when the answer is unknown. */
  request(command: Command): Promise<ReplyResult> {
    if (this.status === "closed" || this.#pending.size >= WAITING_MAX) {
      return Promise.reject(new Problem("network", 0, "the hub is not connected", 0));
    }
    const id = this.#nextId++;
    return new Promise<ReplyResult>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Problem("network", 0, "no reply in time", 0));
      }, REPLY_WITHIN_MS);
      const pending: Pending = { command, sent: false, resolve, reject, timer };
      this.#pending.set(id, pending);
      if (this.status === "ready") this.#submit(id, pending);
    });
  }

  async upvote(questionId: string): Promise<void> {
    await this.request({ kind: "upvote", questionId });
    this.#setRoom(withUpvote(this.room, questionId));
  }

  #opened(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#heardAtMs = Date.now();
    const position = this.#fresh ? null : this.room.position;
    this.#fresh = false;
    this.#write(0, { kind: "resume", epoch: position?.epoch ?? "", seq: position?.seq ?? 0 });
    this.#write(0, { kind: "ping", clientAtMs: Date.now() });
    this.#ping = setInterval(() => this.#beat(socket), PING_EVERY_MS);
  }

  #beat(socket: WebSocket): void {
    if (Date.now() - this.#heardAtMs > SILENCE_MS) this.#lost(socket, 0);
    else this.#write(0, { kind: "ping", clientAtMs: Date.now() });
  }

  #receive(bytes: Uint8Array): void {
    this.#heardAtMs = Date.now();
    let frame: Frame | null;
    try {
      frame = decodeFrame(bytes);
    } catch {
      // Not our protocol: what follows cannot be trusted either.
      this.#fresh = true;
      this.#reconnectIn(this.#backoff.next());
      return;
    }
    if (frame === null) return;
    if (frame.kind === "snapshot") this.clock.sample(frame.snapshot.serverAtMs, null);
    if (frame.kind === "resumed") this.clock.sample(frame.serverAtMs, null);
    if (frame.kind === "pong") this.clock.sample(frame.serverAtMs, frame.clientAtMs);

    const step = applyFrame(this.room, frame);
    if (step.room !== this.room) this.#setRoom(step.room);
    if (step.resync) {
      // A resume that did not meet the log is not tried twice: the next one asks for a snapshot.
      this.#fresh = frame.kind === "resumed" || frame.kind === "batch" && frame.batch.epoch !== this.room.position?.epoch;
      this.#reconnectIn(this.#backoff.next());
      return;
    }
    if (frame.kind === "snapshot" || frame.kind === "resumed") this.#ready();
    if (frame.kind === "reply") this.#settle(frame.id, frame.result);
    if (frame.kind === "goodbye") this.#farewell(frame.reconnectAfterMs);
  }

  #ready(): void {
    this.#backoff.reset();
    this.#setStatus("ready");
    for (const [id, pending] of this.#pending) if (!pending.sent) this.#submit(id, pending);
  }

  #farewell(reconnectAfterMs: number): void {
    if (reconnectAfterMs < 0) this.stop();
    else this.#reconnectIn(this.#backoff.next(reconnectAfterMs));
  }

  #settle(id: number, result: ReplyResult): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (result.kind !== "problem") return pending.resolve(result);
    const { type, status, detail, retryAfterMs } = result.problem;
    pending.reject(new Problem(problemName(type), status, detail, retryAfterMs));
  }

  #lost(socket: WebSocket, atLeastMs: number): void {
    if (socket !== this.#socket || this.status === "closed") return;
    this.#reconnectIn(this.#backoff.next(atLeastMs));
  }

  #reconnectIn(delayMs: number): void {
    this.#drop();
    this.#failAll(false);
    this.#setStatus("connecting");
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.start();
    }, delayMs);
  }

  #drop(): void {
    if (this.#ping !== null) clearInterval(this.#ping);
    this.#ping = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** What was sent has an unknown outcome; what was not waits for the next connection, unless there will be none. */
  #failAll(unsentToo: boolean): void {
    for (const [id, pending] of this.#pending) {
      if (!pending.sent && !unsentToo) continue;
      this.#pending.delete(id);
      clearTimeout(pending.timer);
      pending.reject(new Problem("network", 0, "the connection was lost", 0));
    }
  }

  #submit(id: number, pending: Pending): void {
    pending.sent = true;
    this.#write(id, pending.command);
  }

  #write(id: number, command: Command): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encodeCommand(id, command));
  }

  #setRoom(room: Room): void {
    this.room = room;
    this.options.onChange(room);
  }

  #setStatus(status: HubStatus): void {
    if (this.status === status) return;
    this.status = status;
    this.options.onStatus?.(status);
  }
}

export function hubUrl(liveId: string, base: Location = location): string {
  return `${base.protocol === "https:" ? "wss" : "ws"}://${base.host}/v1/lives/${encodeURIComponent(liveId)}/hub`;
}
