import { useEffect, useState } from "preact/hooks";
import type { ServerClock } from "../../hub/clock";

/** The server's time, ticking while something on the page counts down. */
export function useClock(clock: ServerClock, active: boolean): number {
  const [now, setNow] = useState(() => clock.nowMs());
  useEffect(() => {
    if (!active) return undefined;
    setNow(clock.nowMs());
    const timer = setInterval(() => setNow(clock.nowMs()), 250);
    return () => clearInterval(timer);
  }, [clock, active]);
  return now;
}
