/** Codes in the address that somebody came by: told to the server once they are signed in, and once only. */
import { effect } from "@preact/signals";
import { asProblem } from "../api/problem";
import { me } from "../api/session";
import { touches, type TouchKind } from "../api/touches";
import { persist } from "../purchase/persist";
import { toast } from "../ui/toast";
import { fill } from "../i18n/phrases";
import { consent, followConsent } from "./consent";
import { note } from "./texts";

const KEY = "hanamichi.arrivals";
const CODE_MAX = 80;

export interface Arrival {
  kind: TouchKind;
  code: string;
  liveId: string | null;
}

/** Pure: what an address says of how one came. */
export function arrivalsOf(pathname: string, search: string): Arrival[] {
  const query = new URLSearchParams(search);
  const liveId = /^\/watch\/([^/]+)/.exec(pathname)?.[1] ?? null;
  return ([["link", "via"], ["staff_code", "staff"]] as const).flatMap(([kind, name]) => {
    const code = query.get(name)?.trim() ?? "";
    return code === "" || code.length > CODE_MAX ? [] : [{ kind, code, liveId }];
  });
}

/** A link counts only with consent; a staff code is named by the customer, so it needs none. */
export function isDue(arrival: Arrival, signedIn: boolean, given: boolean | null): boolean {
  return signedIn && (arrival.kind === "staff_code" || given === true);
}

function told(mark: string): boolean {
  try {
    return (sessionStorage.getItem(KEY) ?? "").split("\n").includes(mark);
  } catch {
    // Storage may be forbidden; then a reload tells it again, which the server bears.
    return false;
  }
}

function remember(mark: string): void {
  try {
    sessionStorage.setItem(KEY, [...(sessionStorage.getItem(KEY) ?? "").split("\n"), mark].slice(-50).join("\n"));
  } catch {
    // As above.
  }
}

/** Follows who is signed in and what they allow, until all is told. */
export function tellArrivals(arrivals: readonly Arrival[]): void {
  followConsent();
  const waiting = new Set(arrivals);
  const stop = effect(() => {
    const person = me.value;
    const given = consent.value?.given ?? null;
    for (const arrival of waiting) {
      if (person === null || person === undefined || !isDue(arrival, true, given)) continue;
      waiting.delete(arrival);
      const mark = `${person.account_id} ${arrival.kind} ${arrival.code} ${arrival.liveId ?? ""}`;
      if (!told(mark)) tell(arrival, mark);
    }
  });
  if (waiting.size === 0) stop();
}

function tell({ kind, code, liveId }: Arrival, mark: string): void {
  persist(() => touches.note(kind, code, liveId), {}).then(({ name }) => {
    remember(mark);
    if (kind === "staff_code") toast(fill(note.staff_noted, { name: name ?? code }));
  }, (thrown: unknown) => {
    // A code that is none (any more) keeps nobody from watching; who typed a staff's is told.
    if (kind === "staff_code" && asProblem(thrown).kind !== "network") toast(fill(note.staff_unknown, { code }), true);
  });
}
