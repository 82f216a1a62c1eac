/**
 * Edge: watches a live by WHEP. The offer is posted at once, without waiting for ICE candidates (the server's answer
 * carries its own), so the picture is one round trip plus DTLS away.
 */
import { Backoff } from "../hub/backoff";
import { problemOf, type Problem } from "../api/problem";
import { knownIceServers, learnIceServers } from "./ice";

/** auto: as large as the network carries. */
export type Layer = "auto" | "low" | "middle" | "high";

/** The sizes in which the picture is sent now, the one that is seen and what was chosen. */
export interface Layers {
  layers: number;
  current: Layer | null;
  chosen: Layer;
}

/** waiting: there is no publisher yet, asked again by itself; reconnecting: the way was lost, made anew by itself. */
export type WhepState = "connecting" | "playing" | "waiting" | "reconnecting" | "refused" | "closed";

export interface WhepOptions {
  url: string;
  onState?: (state: WhepState) => void;
  onStream?: (stream: MediaStream) => void;
}

/** `disconnected` often heals by itself; after this long it is treated as lost. */
const DISCONNECTED_MS = 3_000;
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 8_000;
const NOT_LIVE_MS = 30_000;

export class WhepPlayer {
  state: WhepState = "connecting";
  stream: MediaStream | null = null;
  /** Why the picture was refused for good. */
  problem: Problem | null = null;
  readonly startedAtMs = performance.now();

  #pc: RTCPeerConnection | null = null;
  #session: string | null = null;
  #layer: Layer = "auto";
  #retry: ReturnType<typeof setTimeout> | null = null;
  #patience: ReturnType<typeof setTimeout> | null = null;
  readonly #backoff = new Backoff(RETRY_BASE_MS, RETRY_CAP_MS);
  #onState: WhepOptions["onState"];
  #onStream: WhepOptions["onStream"];

  constructor(private readonly options: WhepOptions) {
    this.#onState = options.onState;
    this.#onStream = options.onStream;
  }

  /** The page that takes over an early started player hears what it missed. */
  attach(onState: (state: WhepState) => void, onStream: (stream: MediaStream) => void): void {
    this.#onState = onState;
    this.#onStream = onStream;
    onState(this.state);
    if (this.stream !== null) onStream(this.stream);
  }

  /** The connection itself, for statistics. */
  get connection(): RTCPeerConnection | null {
    return this.#pc;
  }

  start(): void {
    if (this.#pc === null && this.state !== "closed") void this.#connect();
  }

  /** What there is to choose from; nothing while there is no session. */
  async layers(): Promise<Layers | null> {
    if (this.#session === null) return null;
    const response = await fetch(`${this.#session}/layer`, { credentials: "same-origin" }).catch(() => null);
    return response?.ok === true ? (await response.json().catch(() => null)) as Layers | null : null;
  }

  /** Chooses the size of the picture, for the sessions that follow too; whether the server knows of it. */
  async choose(layer: Layer): Promise<boolean> {
    this.#layer = layer;
    if (this.#session === null) return false;
    const response = await fetch(`${this.#session}/layer`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ layer }),
      credentials: "same-origin",
    }).catch(() => null);
    return response?.ok === true;
  }

  /** There is news of a picture, or of a server: do not sit out the back-off. */
  nudge(): void {
    if (this.#retry === null) return;
    this.#backoff.reset();
    this.#again(0, this.state === "waiting" ? "connecting" : "reconnecting");
  }

  /** Starts over, for a picture that stands still although there is one. */
  restart(): void {
    if (this.state !== "closed") this.#again(0, "reconnecting");
  }

  stop(): void {
    this.#setState("closed");
    this.#clearTimers();
    this.#hangUp();
  }

  async #connect(): Promise<void> {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: knownIceServers() });
    this.#pc = pc;
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.addTransceiver("audio", { direction: "recvonly" });
    // One stream of our own: a server may put picture and sound into two, and an element plays only one.
    const stream = new MediaStream();
    pc.ontrack = (event) => {
      if (pc !== this.#pc) return;
      stream.addTrack(event.track);
      if (stream === this.stream || event.track.kind !== "video") return;
      this.stream = stream;
      this.#onStream?.(stream);
    };
    pc.onconnectionstatechange = () => this.#connectionChanged(pc);

    let response: Response;
    try {
      await pc.setLocalDescription(await pc.createOffer());
      response = await fetch(this.options.url, {
        method: "POST",
        headers: { "content-type": "application/sdp" },
        body: pc.localDescription?.sdp ?? "",
        credentials: "same-origin",
      });
    } catch {
      if (pc === this.#pc) this.#again(this.#backoff.next(), "reconnecting");
      return;
    }
    if (pc !== this.#pc) return this.#abandon(response);
    if (response.status !== 201) return this.#refused(response);
    this.#session = response.headers.get("location");
    const withinMs = learnIceServers(response);
    if (this.#layer !== "auto") void this.choose(this.#layer);
    try {
      await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    } catch {
      if (pc === this.#pc) this.#again(this.#backoff.next(), "reconnecting");
      return;
    }
    this.#patience = setTimeout(() => {
      if (pc === this.#pc && pc.connectionState !== "connected") this.#again(this.#backoff.next(), "reconnecting");
    }, withinMs);
  }

  async #refused(response: Response): Promise<void> {
    const problem = await problemOf(response);
    // Before the live the hub's word is waited for; asking is for when the hub is away, and must not be a crowd's.
    if (problem.kind === "live-not-live") return this.#again(this.#backoff.next(NOT_LIVE_MS), "waiting");
    if (problem.kind === "no-publisher") return this.#again(this.#backoff.next(problem.retryAfterMs), "waiting");
    if (problem.retryable) return this.#again(this.#backoff.next(problem.retryAfterMs), "reconnecting");
    this.problem = problem;
    this.#hangUp();
    // Ended, forbidden or unknown: asking again changes nothing.
    this.#setState("refused");
  }

  #connectionChanged(pc: RTCPeerConnection): void {
    if (pc !== this.#pc) return;
    switch (pc.connectionState) {
      case "connected":
        this.#clearTimers();
        this.#backoff.reset();
        this.#setState("playing");
        break;
      case "disconnected":
        this.#patience = setTimeout(() => {
          if (pc === this.#pc && pc.connectionState === "disconnected") this.#again(0, "reconnecting");
        }, DISCONNECTED_MS);
        break;
      case "failed":
        this.#again(this.#backoff.next(), "reconnecting");
        break;
      default:
        break;
    }
  }

  #again(delayMs: number, state: WhepState): void {
    if (this.state === "closed") return;
    this.#clearTimers();
    this.#hangUp();
    this.#setState(state);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.#connect();
    }, delayMs);
  }

  #hangUp(): void {
    // Asked to end before the transport says that it is gone: afterwards there may be no session left to end.
    if (this.#session !== null) leave(this.#session);
    this.#session = null;
    this.#pc?.close();
    this.#pc = null;
  }

  /** The answer of an attempt that nobody waits for any more still made a session on the server. */
  #abandon(response: Response): void {
    const session = response.headers.get("location");
    if (session !== null) leave(session);
  }

  #clearTimers(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#retry = this.#patience = null;
  }

  #setState(state: WhepState): void {
    if (this.state === state) return;
    this.state = state;
    this.#onState?.(state);
  }
}

/** Tells the server that a session is over; it would notice by itself, later. */
export function leave(session: string): void {
  void fetch(session, { method: "DELETE", keepalive: true, credentials: "same-origin" }).catch(() => undefined);
}

export function whepUrl(liveId: string): string {
  return `/v1/lives/${encodeURIComponent(liveId)}/whep`;
}
