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

/** Who opened the sheet, or the first of a row of sheets. */
let opener: HTMLElement | null = null;
/** Where the opener stood, from the inside out: it may have gone when the sheet closes, and another button taken its place. */
let openerBoxes: HTMLElement[] = [];

/** A modal sheet: the native dialog keeps the focus inside and closes on Escape; the focus goes back to the opener. */
export function Sheet({ title, onClose, children, testId }: SheetProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) {
      const active = document.activeElement;
      if (active instanceof HTMLElement && active !== document.body) {
        opener = active;
        openerBoxes = [];
        for (let box = active.parentElement; box !== null; box = box.parentElement) openerBoxes.push(box);
      }
      element.showModal();
    }
    return () => {
      element?.close();
      // The element is about to leave the page and takes the browser's own memory of the focus with it. A sheet that
      // follows another one (sign in, then buy) inherits its opener.
      const [back, boxes] = [opener, openerBoxes];
      setTimeout(() => {
        if (document.querySelector("dialog[open]") !== null) return;
        if (back?.isConnected === true) back.focus();
        else {
          const box = boxes.find((candidate) => candidate.isConnected);
          (box?.hasAttribute("tabindex") === true ? box : box?.querySelector("button"))?.focus();
        }
      }, 0);
    };
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
