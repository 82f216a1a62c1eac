import { effect, signal } from "@preact/signals";
import { me } from "../api/session";
import { touches, type Consent } from "../api/touches";

/** undefined: not known (yet); null: a guest has none. */
export const consent = signal<Consent | null | undefined>(undefined);

let whose: string | null = null;
let following = false;

/** Keeps it that of whoever is signed in. A server that does not answer leaves it unknown: then nobody is asked. */
export function followConsent(): void {
  if (following) return;
  following = true;
  effect(() => {
    const account = me.value === undefined ? null : (me.value?.account_id ?? "");
    if (account === null || account === whose) return;
    whose = account;
    consent.value = account === "" ? null : undefined;
    if (account !== "") touches.consent().then((found) => { if (whose === account) consent.value = found; }, () => undefined);
  });
}

export async function answerConsent(given: boolean): Promise<void> {
  consent.value = await touches.answer(given);
}
