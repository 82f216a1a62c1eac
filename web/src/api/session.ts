import { signal } from "@preact/signals";
import { api } from "./client";
import { Problem } from "./problem";
import type { Demo, DemoRole, Me } from "./types";

/** undefined: not known yet; null: a guest. */
export const me = signal<Me | null | undefined>(undefined);
/** null: this is not a demo server (or it is not known yet). */
export const demo = signal<Demo | null>(null);

let loading: Promise<void> | null = null;

export function loadSession(): Promise<void> {
  loading ??= Promise.all([loadMe(), loadDemo()]).then(() => undefined);
  return loading;
}

async function loadMe(): Promise<void> {
  try {
    me.value = await api.get<Me>("/v1/me");
  } catch {
    // Not signed in, or not reachable: either way the page works as for a guest and each write asks again.
    if (me.value === undefined) me.value = null;
  }
}

async function loadDemo(): Promise<void> {
  try {
    demo.value = await api.get<Demo>("/v1/demo");
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    demo.value = null;
  }
}

export async function signIn(email: string, password: string): Promise<Me> {
  return (me.value = await api.post<Me>("/v1/sign-in", { email, password }));
}

export async function signUp(email: string, password: string, displayName: string): Promise<Me> {
  return (me.value = await api.post<Me>("/v1/sign-up", { email, password, display_name: displayName }));
}

export async function demoSignIn(role: DemoRole): Promise<Me> {
  return (me.value = await api.post<Me>("/v1/demo/sign-in", { role }));
}

export async function signOut(): Promise<void> {
  await api.post<void>("/v1/sign-out");
  me.value = null;
}
