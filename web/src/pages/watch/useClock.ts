import { useEffect, useState } from "preact/hooks";
import type { ServerClock } from "../../hub/clock";

const TICK_MS = 250;

/** The server's time, ticking until the moment has come that the page counts down to; 0 = there is none. */
export function useClock(clock: ServerClock, untilMs: number): number {
  const [now, setNow] = useState(() => clock.nowMs());
  useEffect(() => {
    setNow(clock.nowMs());
    if (untilMs <= clock.nowMs()) return undefined;
    const timer = setInterval(() => {
      // The last tick is at or after the moment, so that nobody stays a quarter of a second before it.
      const tick = clock.nowMs();
      setNow(tick);
      if (tick >= untilMs) clearInterval(timer);
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [clock, untilMs]);
  return now;
}
