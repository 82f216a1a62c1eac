import { signal } from "@preact/signals";

export interface Undo {
  label: string;
  act: () => void;
}

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
  undo: Undo | null;
}

export const toasts = signal<readonly Toast[]>([]);

const SHOWN_MS = 5_000;
/** What can be taken back stays long enough to be read and reached. */
const UNDO_MS = 12_000;
const SHOWN_MAX = 3;
let nextId = 1;

export function toast(text: string, bad = false, undo: Undo | null = null): void {
  const id = nextId++;
  toasts.value = [...toasts.value, { id, text, bad, undo }].slice(-SHOWN_MAX);
  setTimeout(() => dismiss(id), undo === null ? SHOWN_MS : UNDO_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((shown) => shown.id !== id);
}
