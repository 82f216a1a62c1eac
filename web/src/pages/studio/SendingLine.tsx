import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { WhipState } from "../../media/whip";
import type { Desk } from "./store";
import { text } from "./texts";

const EVERY_MS = 2_000;

const LABEL: Record<WhipState, "state_idle" | "state_connecting" | "state_live" | "state_reconnecting" | "state_refused"> = {
  idle: "state_idle", connecting: "state_connecting", live: "state_live", reconnecting: "state_reconnecting", refused: "state_refused",
};

/** Is the picture leaving, and how good is it? */
export function SendingLine({ at }: { at: Desk }): JSX.Element {
  const { state } = at.sending.value;
  const [quality, setQuality] = useState("");
  useEffect(() => {
    if (state !== "live") {
      setQuality("");
      return undefined;
    }
    let bytesBefore = 0;
    const timer = setInterval(() => {
      void at.publisher.connection?.getStats().then((report) => {
        for (const entry of report.values() as Iterable<RTCOutboundRtpStreamStats>) {
          if (entry.type !== "outbound-rtp" || entry.kind !== "video") continue;
          const sent = entry.bytesSent ?? 0;
          const mbps = ((sent - bytesBefore) * 8) / (EVERY_MS * 1_000);
          setQuality(`${entry.frameWidth ?? 0}×${entry.frameHeight ?? 0} · ${Math.round(entry.framesPerSecond ?? 0)} fps${bytesBefore > 0 ? ` · ${mbps.toFixed(1)} Mbps` : ""}`);
          bytesBefore = sent;
        }
      });
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [state, at]);
  return (
    <p class="sending num" role="status" data-testid="sending" data-state={state}>
      <span class={`lamp ${state}`} aria-hidden="true" />{text[LABEL[state]]}{quality !== "" && <span class="quality">{quality}</span>}
    </p>
  );
}
