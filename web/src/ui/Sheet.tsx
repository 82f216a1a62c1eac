import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "./icons";
import { words } from "./words";

interface SheetProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  testId?: string;
}

/** A modal sheet. The native dialog keeps the focus inside, closes on Escape and gives the focus back. */
export function Sheet({ title, onClose, children, testId }: SheetProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog class="sheet" ref={dialog} aria-labelledby={titleId} data-testid={testId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        // The backdrop belongs to the dialog element itself; its content does not.
        if (event.target === dialog.current) onClose();
      }}>
      <header>
        <h2 id={titleId}>{title}</h2>
        <button type="button" class="icon-btn" aria-label={words.close} data-testid="sheet-close" onClick={onClose}><Icon name="close" /></button>
      </header>
      <div class="body">{children}</div>
    </dialog>
  );
}
