import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** A row of choices that is wider than a phone: the chosen one is moved to where it is seen, and the page stays where it is. */
export function useShown<T extends HTMLElement>(chosen: string): RefObject<T | null> {
  const row = useRef<T>(null);
  useEffect(() => {
    const box = row.current;
    const one = box?.querySelector<HTMLElement>('[aria-current="page"], [aria-pressed="true"]');
    if (box !== null && one != null) box.scrollLeft = one.offsetLeft - (box.clientWidth - one.offsetWidth) / 2;
  }, [chosen]);
  return row;
}
