import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { WhipState } from "../../media/whip";
import type { Desk } from "./store";
import { describe, sentOf, type Outbound } from "./sent";
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
    let before: number | null = null;
    const timer = setInterval(() => {
      void at.publisher.connection?.getStats().then((report) => {
        const sent = sentOf(report.values() as Iterable<Outbound>);
        setQuality(describe(sent, before, EVERY_MS));
        before = sent.bytes;
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
