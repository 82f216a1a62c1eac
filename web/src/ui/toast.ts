import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

export const toasts = signal<readonly Toast[]>([]);

const SHOWN_MS = 5_000;
const SHOWN_MAX = 3;
let nextId = 1;

export function toast(text: string, bad = false): void {
  const id = nextId++;
  toasts.value = [...toasts.value, { id, text, bad }].slice(-SHOWN_MAX);
  setTimeout(() => {
    toasts.value = toasts.value.filter((shown) => shown.id !== id);
  }, SHOWN_MS);
}
