import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  value: T | null;
  problem: unknown;
  reload: () => void;
}

/**
 * Loads a value and keeps the last good one while it loads again: a refresh must not blank the page. `everyMs` asks
 * again by itself while the page is visible.
 */
export function useLoad<T>(load: () => Promise<T>, keys: readonly unknown[], everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ value: T | null; problem: unknown }>({ value: null, problem: null });
  const turn = useRef(0);
  const latest = useRef(load);
  latest.current = load;

  const reload = useCallback(() => {
    const mine = ++turn.current;
    latest.current().then(
      (value) => { if (mine === turn.current) setState({ value, problem: null }); },
      (problem: unknown) => { if (mine === turn.current) setState((old) => ({ value: old.value, problem })); },
    );
  }, []);

  useEffect(() => {
    setState({ value: null, problem: null });
    reload();
    if (everyMs === 0) return undefined;
    const timer = setInterval(() => { if (!document.hidden) reload(); }, everyMs);
    return () => clearInterval(timer);
    // The caller names what the value depends on.
  }, keys);

  return { value: state.value, problem: state.problem, reload };
}
