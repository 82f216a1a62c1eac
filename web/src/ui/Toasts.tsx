import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { dismiss, toasts } from "./toast";

/** A popover, so that it stands above an open sheet too. */
export function Toasts(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const shown = toasts.value;
  useEffect(() => {
    const element = box.current;
    if (element === null || !("showPopover" in element)) return;
    // Shown anew for each message: the top layer is ordered by who came last.
    if (element.matches(":popover-open")) element.hidePopover();
    if (shown.length > 0) element.showPopover();
  }, [shown]);
  return (
    <div ref={box} class="toasts" popover="manual" role="status" aria-live="polite" data-testid="toasts">
      {shown.map(({ id, text, bad, undo }) => (
        <div key={id} class={bad ? "toast bad" : "toast"}>
          <span>{text}</span>
          {undo !== null && <button type="button" class="undo" data-testid="undo" onClick={() => { dismiss(id); undo.act(); }}>{undo.label}</button>}
        </div>
      ))}
    </div>
  );
}
