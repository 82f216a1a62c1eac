/**
 * Shell: the connection to a live. Keeps one line to the hub, resumes after a loss, and turns commands into promises.
 * It shows nothing and knows no framework; what it knows is `room`, and `onChange` tells when that changed.
 *
 * Invariant: what was sent is never sent again by itself; its outcome is unknown (`network`) until the room tells.
 */
import { Backoff } from "./backoff.js";
import { ServerClock } from "./clock.js";
import { CODECS, type Protocol } from "./codec.js";
import { EventsLine } from "./events.js";
import type { Command, Frame, Pass, Personal, ReplyResult, Standing } from "./model.js";
import { PassKeeper } from "./pass.js";
import { Problem, problemName, problemOf } from "./problem.js";
import { sendByRest, type Fetch } from "./rest.js";
import { applyFrame, EMPTY_ROOM, withoutPerson, withUpvote, type Room } from "./room.js";
import { CLOSED, SocketLine, type Ends, type Line } from "./socket.js";

/** connecting: no word from the server yet; ready: in step; closed: left, or told not to come back (see `ending`). */
export type HubStatus = "connecting" | "ready" | "closed";

export interface HubOptions {
  /** The live's id. */
  live: string;
  /** Of the server, `https://shop.example`; the page's own when absent. */
  origin?: string;
  /** proto unless said otherwise. */
  protocol?: Protocol;
  /** To begin with, instead of a cookie; newer ones are kept as they come. */
  pass?: Pass;
  onChange: (room: Room) => void;
  onStatus?: (status: HubStatus) => void;
  /** What the world gives, for tests and for where there is no browser. */
  open?: (url: string, protocols: string[]) => WebSocket;
  /** null: there is no event stream to fall back to. */
  openEvents?: ((url: string) => EventSource) | null;
  fetch?: Fetch;
  random?: () => number;
}

const REPLY_WITHIN_MS = 10_000;
const RETRY_BASE_MS = 800;
const RETRY_CAP_MS = 10_000;
/** When the network or the page comes back there is reason to hope. */
const QUICK_RETRY_MS = 300;
/** Commands that wait for a connection; more are refused at once. */
const WAITING_MAX = 32;
/** Sockets in a row that never opened, before the event stream is tried. */
const FALLBACK_AFTER = 3;
const SOCKET_AGAIN_MS = 60_000;
/** After its goodbye the server closes and says by which code; it may die before that. */
const PARTING_MS = 1_000;

interface Pending {
  command: Command;
  /** By which way; null: it waits. */
  sent: "line" | "rest" | null;
  resolve: (result: ReplyResult) => void;
  reject: (problem: Problem) => void;
  timer: ReturnType<typeof setTimeout>;
}

type Timer = ReturnType<typeof setTimeout>;

export class HubClient {
  readonly clock = new ServerClock();
  room: Room = EMPTY_ROOM;
  status: HubStatus = "connecting";
  /** Why it is closed, when that was the server's will: `banned`, or whatever it said. */
  ending: Problem | null = null;

  /** The one that is spoken with. */
  #line: Line | null = null;
  /** A socket that is tried while the event stream serves. */
  #trial: SocketLine | null = null;
  #nextId = 1;
  readonly #pending = new Map<number, Pending>();
  #retry: Timer | null = null;
  #again: Timer | null = null;
  #refresh: Timer | null = null;
  #fresh = false;
  #unopened = 0;
  /** Asked for by the server: nothing brings us back earlier. */
  #notBeforeMs = 0;
  /** The server said that it does not want us back; its close code may yet say why. */
  #parting: Problem | null = null;
  readonly #backoff: Backoff;
  readonly #passes: PassKeeper;
  readonly #random: () => number;
  readonly #origin: string;

  constructor(private readonly options: HubOptions) {
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(RETRY_BASE_MS, RETRY_CAP_MS, this.#random);
    this.#passes = new PassKeeper(options.pass ?? null);
    this.#origin = (options.origin ?? "").replace(/\/+$/, "");
  }

  /** By which way the server is heard at the moment. */
  get way(): Line["kind"] | null {
    return this.#line?.kind ?? null;
  }

  start(): void {
    if (this.#line !== null || this.#retry !== null || this.status === "closed") return;
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#dial();
  }

  stop(): void {
    this.#close(null);
  }

  /** Reconnects at once as whoever is signed in now, and asks for a snapshot: personal parts belong to a connection. */
  rejoin(): void {
    if (this.status === "closed") return;
    this.#passes.drop();
    this.#fresh = true;
    this.#setRoom(withoutPerson(this.room));
    this.#reconnectIn(0);
  }

  /** What a REST answer told counts like the hub's own word: of two states of a thing the newer one stays. */
  learn(told: Personal): void {
    const { room } = applyFrame(this.room, told);
    if (room !== this.room) this.#setRoom(room);
  }

  /** A change that REST has accepted; the hub's own word on it follows. */
  learnStanding(change: Partial<Standing>): void {
    const known = this.room.standing ?? { role: "viewer", mutedUntilMs: 0, following: false };
    this.learn({ kind: "standing", standing: { ...known, ...change } });
  }

  /** For what needs no answer (reactions, clicks); lost when there is no connection. */
  tell(command: Command): void {
    if (this.status === "ready") this.#line?.send(0, command);
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
      const pending: Pending = { command, sent: null, resolve, reject, timer };
      this.#pending.set(id, pending);
      if (this.status === "ready") this.#submit(id, pending);
    });
  }

  async upvote(questionId: string): Promise<void> {
    await this.request({ kind: "upvote", questionId });
    this.#setRoom(withUpvote(this.room, questionId));
  }

  // ---- lines

  #dial(): void {
    if (this.#unopened < FALLBACK_AFTER || !this.#dialEvents()) this.#line = this.#dialSocket();
  }

  #dialSocket(): SocketLine {
    const codec = CODECS[this.options.protocol ?? "proto"];
    const open = this.options.open ?? ((url: string, protocols: string[]) => new WebSocket(url, protocols));
    // A pass that nobody can read would keep us out for good, so every third try in a row goes without.
    const pass = this.#unopened % 3 === 2 ? null : this.#passes.offer(this.clock.nowMs());
    const protocols = pass === null ? [codec.subprotocol] : [codec.subprotocol, pass];
    const line: SocketLine = new SocketLine(open(hubUrl(this.options.live, this.#origin), protocols), codec, {
      onOpen: () => {
        this.#unopened = 0;
        const position = this.#fresh ? null : this.room.position;
        if (line === this.#line) this.#fresh = false;
        line.send(0, { kind: "resume", epoch: position?.epoch ?? "", seq: position?.seq ?? 0 });
      },
      onFrame: (frame) => {
        if (line === this.#trial) this.#promote(line);
        if (line === this.#line) this.#receive(frame);
      },
      onGarbage: () => this.#lost(line, 0, true, true),
      onLost: (code, opened) => this.#lost(line, code, opened, false),
    });
    return line;
  }

  /** false: there is no such way here. */
  #dialEvents(): boolean {
    const open = this.options.openEvents === undefined && typeof EventSource === "function"
      ? (url: string) => new EventSource(url, { withCredentials: this.#origin !== "" })
      : (this.options.openEvents ?? null);
    if (open === null) return false;
    // A new stream has no last id, so it begins with a snapshot.
    this.#fresh = false;
    const ends: Ends = {
      onOpen: () => undefined,
      onFrame: (frame) => { if (line === this.#line) this.#receive(frame); },
      onGarbage: () => this.#lost(line, 0, true, true),
      onLost: (code, opened) => this.#lost(line, code, opened, false),
    };
    const line: EventsLine = new EventsLine(open(`${this.#origin}/v1/lives/${encodeURIComponent(this.options.live)}/events`), ends);
    this.#line = line;
    this.#trySocketLater();
    return true;
  }

  #trySocketLater(): void {
    if (this.#again !== null) clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      this.#again = null;
      if (this.#line?.kind === "events") this.#trial = this.#dialSocket();
    }, SOCKET_AGAIN_MS * (0.9 + 0.2 * this.#random()));
  }

  /** The socket has spoken: it takes over, and nothing was missed, because it resumed from where the room stood. */
  #promote(line: SocketLine): void {
    this.#line?.close();
    this.#trial = null;
    this.#line = line;
  }

  #lost(line: Line, code: number, opened: boolean, garbage: boolean): void {
    if (line === this.#trial) {
      this.#trial = null;
      if (code === CLOSED.banned) this.#close(bannedProblem());
      else this.#trySocketLater();
      return;
    }
    if (line !== this.#line || this.status === "closed") return;
    if (code === CLOSED.banned) return this.#close(bannedProblem());
    if (this.#parting !== null) return this.#close(this.#parting);
    if (code === CLOSED.passExpired) {
      // Whoever the cookie names now may be nobody.
      this.#passes.drop();
      this.#setRoom({ ...this.room, standing: null });
    }
    // Not our protocol: what follows cannot be trusted either.
    if (garbage) this.#fresh = true;
    if (line.kind === "events") {
      // One socket is tried first, then the stream again.
      this.#unopened = FALLBACK_AFTER - 1;
      if (!opened) void this.#askWhy();
    } else if (!opened) {
      this.#unopened += 1;
      // A newcomer may be kept out; whoever was in has been told.
      if (this.#unopened === 1 && this.room.position === null) void this.#askWhy();
    }
    this.#reconnectIn(this.#backoff.next(), code === CLOSED.tooLarge ? "too-large" : "network");
  }

  /** What was refused, a stream or a socket, does not say why; the stream's request by hand does. */
  async #askWhy(): Promise<void> {
    const abort = new AbortController();
    try {
      const response = await this.#fetch(`${this.#origin}/v1/lives/${encodeURIComponent(this.options.live)}/events`, {
        headers: { accept: "text/event-stream" }, credentials: this.#origin === "" ? "same-origin" : "include", signal: abort.signal,
      });
      if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.kind === "banned" && this.status === "connecting") this.#close(problem);
      }
    } catch {
      // Not reachable: the next try will see.
    } finally {
      abort.abort();
    }
  }

  get #fetch(): Fetch {
    return this.options.fetch ?? ((url, init) => fetch(url, init));
  }

  // ---- what the server says

  #receive(frame: Frame): void {
    if (frame.kind === "snapshot") this.clock.sample(frame.snapshot.serverAtMs, null);
    if (frame.kind === "resumed") this.clock.sample(frame.serverAtMs, null);
    if (frame.kind === "pong") this.clock.sample(frame.serverAtMs, frame.clientAtMs);
    if (frame.kind === "pass") this.#keepPass(frame.pass);

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
    if (frame.kind === "goodbye") this.#farewell(frame.reason, frame.reconnectAfterMs);
  }

  #ready(): void {
    this.#backoff.reset();
    this.#notBeforeMs = 0;
    this.#setStatus("ready");
    for (const [id, pending] of this.#pending) if (pending.sent === null) this.#submit(id, pending);
  }

  #farewell(reason: string, reconnectAfterMs: number): void {
    if (reconnectAfterMs >= 0) {
      this.#notBeforeMs = Date.now() + reconnectAfterMs;
      this.#reconnectIn(this.#backoff.next(reconnectAfterMs));
      return;
    }
    this.#parting = new Problem(problemName(reason), 0, reason, 0);
    this.#retry = setTimeout(() => this.#close(this.#parting), PARTING_MS);
  }

  #keepPass(pass: Pass): void {
    this.#passes.keep(pass);
    this.#refreshLater();
  }

  #refreshLater(): void {
    if (this.#refresh !== null) clearTimeout(this.#refresh);
    const delayMs = this.#passes.refreshInMs(this.clock.nowMs(), this.#random());
    if (delayMs === null) return;
    this.#refresh = setTimeout(() => {
      this.#refresh = null;
      // Whoever is away or hears by the stream comes by cookie; whoever gets no new pass tries again in what is left.
      if (this.status === "ready") this.#line?.send(0, { kind: "refresh", pass: "" });
      if (this.#passes.offer(this.clock.nowMs()) !== null) this.#refreshLater();
    }, delayMs);
  }

  // ---- requests

  #submit(id: number, pending: Pending): void {
    if (this.#line?.kind === "socket") {
      pending.sent = "line";
      this.#line.send(id, pending.command);
      return;
    }
    pending.sent = "rest";
    const place = { origin: this.#origin, live: this.options.live, fetch: this.#fetch };
    sendByRest(place, pending.command, restKey(this.#random)).then(
      (result) => {
        // Told to the room as the hub's reply would be.
        const { room } = applyFrame(this.room, { kind: "reply", id, result });
        if (room !== this.room) this.#setRoom(room);
        this.#settle(id, result);
      },
      (problem: Problem) => this.#refuse(id, problem),
    );
  }

  #settle(id: number, result: ReplyResult): void {
    if (result.kind === "problem") {
      const { type, status, detail, retryAfterMs } = result.problem;
      return this.#refuse(id, new Problem(problemName(type), status, detail, retryAfterMs));
    }
    const pending = this.#take(id);
    pending?.resolve(result);
  }

  #refuse(id: number, problem: Problem): void {
    this.#take(id)?.reject(problem);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }

  /** What was sent over a lost line has an unknown outcome; what was not waits for the next one, unless there will be none. */
  #failAll(unsentToo: boolean, kind: "network" | "too-large"): void {
    for (const [id, pending] of this.#pending) {
      if (pending.sent === "line" || unsentToo) this.#refuse(id, new Problem(kind, 0, "the connection was lost", 0));
    }
  }

  // ---- coming and going

  /** The page is seen again, or the network is back: whatever waits goes at once, and whatever stands is looked at. */
  readonly #wake = (event: Event): void => {
    if (globalThis.document?.visibilityState === "hidden" || this.status === "closed") return;
    if (this.#retry !== null && this.#parting === null) {
      const delayMs = Math.max(this.#notBeforeMs - Date.now(), 0) + QUICK_RETRY_MS * this.#random();
      this.#dialIn(delayMs);
    } else if (this.#line?.kind === "socket" || event.type === "online") this.#line?.check();
  };

  #reconnectIn(delayMs: number, outcome: "network" | "too-large" = "network"): void {
    this.#drop();
    this.#failAll(false, outcome);
    this.#setStatus("connecting");
    this.#dialIn(delayMs);
  }

  #dialIn(delayMs: number): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#dial();
    }, delayMs);
  }

  #close(ending: Problem | null): void {
    if (this.status === "closed") return;
    this.ending = ending;
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    for (const timer of [this.#retry, this.#again, this.#refresh]) if (timer !== null) clearTimeout(timer);
    this.#retry = this.#again = this.#refresh = null;
    this.#drop();
    this.#setStatus("closed");
    this.#failAll(true, "network");
  }

  #drop(): void {
    const [line, trial] = [this.#line, this.#trial];
    this.#line = this.#trial = null;
    line?.close();
    trial?.close();
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

function bannedProblem(): Problem {
  return new Problem("banned", 403, "", 0);
}

/** One per command: unique is enough, nobody has to be kept from guessing it. */
function restKey(random: () => number): string {
  return globalThis.crypto?.randomUUID?.() ?? `hub-${Date.now().toString(36)}-${Math.floor(random() * 2 ** 48).toString(36)}`;
}

/** Where the hub of a live is; `origin` empty = on the page's own server. */
export function hubUrl(live: string, origin = ""): string {
  const base = origin === "" ? location.origin : origin;
  return `${base.replace(/^http/, "ws")}/v1/lives/${encodeURIComponent(live)}/hub`;
}
