import { useEffect } from "preact/hooks";

/** Keeps the screen on while a live is watched or sent: a muted picture alone does not. */
export function useWakeLock(active: boolean): void {
  useEffect(() => {
    if (!active || !("wakeLock" in navigator)) return undefined;
    let lock: WakeLockSentinel | null = null;
    let wanted = true;
    const take = (): void => {
      // The browser takes the lock away from a hidden page; it is asked for again when the page returns.
      if (document.hidden) return;
      navigator.wakeLock.request("screen").then(
        (taken) => { if (wanted) lock = taken; else void taken.release(); },
        () => undefined, // A low battery may refuse.
      );
    };
    take();
    document.addEventListener("visibilitychange", take);
    return () => {
      wanted = false;
      document.removeEventListener("visibilitychange", take);
      void lock?.release();
    };
  }, [active]);
}
