/**
 * Edge: publishes a camera by WHIP, and does so again by itself when the way is lost. H.264 constrained baseline is
 * offered first: it is what takeover, recording and every phone can do.
 */
import { Problem, problemOf } from "../api/problem";
import { Backoff } from "../hub/backoff";
import { knownIceServers, learnIceServers } from "./ice";
import { leave } from "./whep";

export type WhipState = "idle" | "connecting" | "live" | "reconnecting" | "refused";

export interface WhipOptions {
  url: string;
  onState: (state: WhipState, problem: Problem | null) => void;
}

/** Of the largest size, the next and the smallest. */
const MAX_BPS = [2_500_000, 700_000, 200_000] as const;
/** The shorter side of a picture that is worth sending in two sizes, and in three. */
const TWO_SIZES = 480;
const THREE_SIZES = 720;
const DISCONNECTED_MS = 2_500;

export class WhipPublisher {
  state: WhipState = "idle";

  #pc: RTCPeerConnection | null = null;
  #session: string | null = null;
  #stream: MediaStream | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #backoff = new Backoff(400, 5_000);
  /** Resolves the first `publish`, so that the studio can go on air when the picture does. */
  #settleFirst: { resolve: () => void; reject: (problem: Problem) => void } | null = null;

  constructor(private readonly options: WhipOptions) {}

  get connection(): RTCPeerConnection | null {
    return this.#pc;
  }

  publish(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    this.#backoff.reset();
    const first = new Promise<void>((resolve, reject) => {
      this.#settleFirst = { resolve, reject };
    });
    this.#setState("connecting", null);
    void this.#connect();
    return first;
  }

  /** Changes camera, microphone or screen without a new session. */
  async replace(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    const senders = this.#pc?.getSenders() ?? [];
    for (const kind of ["video", "audio"] as const) {
      const track = stream.getTracks().find((candidate) => candidate.kind === kind) ?? null;
      const sender = this.#pc?.getTransceivers().find((transceiver) => transceiver.receiver.track.kind === kind)?.sender;
      if (sender !== undefined && senders.includes(sender)) await sender.replaceTrack(track);
    }
  }

  stop(): void {
    this.#settleFirst?.reject(new Problem("network", 0, "stopped", 0));
    this.#settleFirst = null;
    this.#stream = null;
    this.#clearTimer();
    this.#hangUp();
    this.#setState("idle", null);
  }

  async #connect(): Promise<void> {
    const stream = this.#stream;
    if (stream === null) return;
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: knownIceServers() });
    this.#pc = pc;
    pc.onconnectionstatechange = () => this.#connectionChanged(pc);
    for (const kind of ["video", "audio"] as const) {
      const track = stream.getTracks().find((candidate) => candidate.kind === kind);
      const transceiver = pc.addTransceiver(track ?? kind, {
        direction: "sendonly",
        streams: [stream],
        ...(kind === "video" ? { sendEncodings: encodings(track?.getSettings() ?? {}) } : {}),
      });
      const codecs = RTCRtpSender.getCapabilities(kind)?.codecs;
      if (codecs !== undefined) transceiver.setCodecPreferences(preferred(kind, codecs));
    }

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
      if (pc === this.#pc) this.#again(null);
      return;
    }
    if (pc !== this.#pc) {
      const session = response.headers.get("location");
      if (session !== null) leave(session);
      return;
    }
    if (response.status !== 201) return this.#refused(await problemOf(response));
    this.#session = response.headers.get("location");
    const withinMs = learnIceServers(response);
    try {
      await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    } catch {
      if (pc === this.#pc) this.#again(null);
      return;
    }
    this.#timer = setTimeout(() => {
      if (pc === this.#pc && pc.connectionState !== "connected") this.#again(null);
    }, withinMs);
  }

  #refused(problem: Problem): void {
    // A publisher that is still there may be this browser's own lost session: it gives way within seconds.
    const waits = problem.retryable || (problem.kind === "publisher-exists" && this.#settleFirst === null);
    if (waits) return this.#again(problem);
    this.#hangUp();
    this.#settleFirst?.reject(problem);
    this.#settleFirst = null;
    this.#setState("refused", problem);
  }

  #connectionChanged(pc: RTCPeerConnection): void {
    if (pc !== this.#pc) return;
    switch (pc.connectionState) {
      case "connected":
        this.#clearTimer();
        this.#backoff.reset();
        this.#settleFirst?.resolve();
        this.#settleFirst = null;
        this.#setState("live", null);
        break;
      case "disconnected":
        this.#clearTimer();
        this.#timer = setTimeout(() => {
          if (pc === this.#pc && pc.connectionState === "disconnected") this.#again(null);
        }, DISCONNECTED_MS);
        break;
      case "failed":
        this.#again(null);
        break;
      default:
        break;
    }
  }

  #again(problem: Problem | null): void {
    if (this.#stream === null) return;
    this.#clearTimer();
    this.#hangUp();
    this.#setState("reconnecting", problem);
    this.#timer = setTimeout(() => void this.#connect(), this.#backoff.next(problem?.retryAfterMs ?? 0));
  }

  #hangUp(): void {
    if (this.#session !== null) leave(this.#session);
    this.#session = null;
    this.#pc?.close();
    this.#pc = null;
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #setState(state: WhipState, problem: Problem | null): void {
    this.state = state;
    this.options.onState(state, problem);
  }
}

/** The sizes in which a picture is sent, from the smallest: each viewer gets the one that its network carries. */
export function encodings({ width = 0, height = 0 }: MediaTrackSettings): RTCRtpEncodingParameters[] {
  const side = Math.min(width, height);
  if (side < TWO_SIZES) return [{ maxBitrate: MAX_BPS[0] }];
  const sizes: RTCRtpEncodingParameters[] = [
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: MAX_BPS[1] },
    { rid: "f", scaleResolutionDownBy: 1, maxBitrate: MAX_BPS[0] },
  ];
  return side < THREE_SIZES ? sizes : [{ rid: "q", scaleResolutionDownBy: 4, maxBitrate: MAX_BPS[2] }, ...sizes];
}

export interface Codec {
  mimeType: string;
  sdpFmtpLine?: string;
}

/** Constrained baseline with packetization mode 1 first, then other H.264, then the rest; Opus first for sound. */
export function preferred<C extends Codec>(kind: "video" | "audio", codecs: readonly C[]): C[] {
  const rank = (codec: C): number => {
    const mime = codec.mimeType.toLowerCase();
    if (kind === "audio") return mime === "audio/opus" ? 0 : 1;
    if (mime !== "video/h264") return 3;
    const line = codec.sdpFmtpLine ?? "";
    if (!line.includes("packetization-mode=1")) return 2;
    return /profile-level-id=42e0/i.test(line) ? 0 : 1;
  };
  return codecs.map((codec, index) => ({ codec, index, rank: rank(codec) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ codec }) => codec);
}

export function whipUrl(liveId: string): string {
  return `/v1/lives/${encodeURIComponent(liveId)}/whip`;
}
