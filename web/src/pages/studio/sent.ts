/** Pure: what leaves this browser: one picture, in one size or several at once. */

/** What is needed of `RTCOutboundRtpStreamStats`; sizes that are not sent at present have neither width nor rate. */
export type Outbound = Pick<RTCOutboundRtpStreamStats, "type" | "kind" | "bytesSent" | "frameWidth" | "frameHeight" | "framesPerSecond">;

export interface Sent {
  /** Of all sizes together, since the beginning. */
  bytes: number;
  /** Of the largest that is sent at present; 0 when none is. */
  width: number;
  height: number;
  framesPerSecond: number;
}

export function sentOf(entries: Iterable<Outbound>): Sent {
  const sent: Sent = { bytes: 0, width: 0, height: 0, framesPerSecond: 0 };
  for (const entry of entries) {
    if (entry.type !== "outbound-rtp" || entry.kind !== "video") continue;
    sent.bytes += entry.bytesSent ?? 0;
    const [width, height, rate] = [entry.frameWidth ?? 0, entry.frameHeight ?? 0, entry.framesPerSecond ?? 0];
    if (rate > 0 && width * height > sent.width * sent.height) Object.assign(sent, { width, height, framesPerSecond: rate });
  }
  return sent;
}

/** In words; nothing before there is anything to say. `before`: the bytes at the look before, so many milliseconds ago. */
export function describe(sent: Sent, before: number | null, everyMs: number): string {
  if (sent.width === 0) return "";
  const mbps = before === null ? null : (Math.max(sent.bytes - before, 0) * 8) / (everyMs * 1_000);
  return `${sent.width}×${sent.height} · ${Math.round(sent.framesPerSecond)} fps${mbps === null ? "" : ` · ${mbps.toFixed(1)} Mbps`}`;
}
