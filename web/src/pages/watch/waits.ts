/** The person's places on the waitlists of this live: restored, joined, left, and the holds that come of them. */
import { effect, untracked, type ReadonlySignal } from "@preact/signals";
import { api, seg, withQuery } from "../../api/client";
import { me } from "../../api/session";
import type { Page, Purchase, Wait as RestWait, WaitRequest } from "../../api/types";
import type { HubClient, HubStatus } from "../../hub/client";
import type { Wait } from "../../hub/model";
import type { Room } from "../../hub/room";
import { leftBy, statusOf, unknownTurns, waitOf } from "../../purchase/places";

const ASK_AGAIN_MS = 1_500;
/** Purchases that are looked through for one that waits for its buyer. */
const RECENT = 10;

interface Followed {
  liveId: string;
  hub: HubClient;
  room: ReadonlySignal<Room>;
  status: ReadonlySignal<HubStatus>;
}

/** Keeps the room's places true until the answer is called. */
export function followWaits({ liveId, hub, room, status }: Followed): () => void {
  // At each connection, because a turn that came while it was away was told to nobody.
  const stopRestoring = effect(() => {
    if (status.value !== "ready" || me.value === null || me.value === undefined) return;
    untracked(() => void restore(liveId, hub));
  });
  const asked = new Set<string>();
  const stopAsking = effect(() => {
    for (const id of unknownTurns(room.value)) {
      if (asked.has(id)) continue;
      asked.add(id);
      api.get<Purchase>(`/v1/purchases/${seg(id)}`).then(
        (purchase) => hub.learn({ kind: "purchase", purchase: statusOf(purchase) }),
        () => undefined,
      // Unless it is known by now, the room's next change asks again.
      ).finally(() => setTimeout(() => asked.delete(id), ASK_AGAIN_MS));
    }
  });
  return () => {
    stopRestoring();
    stopAsking();
  };
}

async function restore(liveId: string, hub: HubClient): Promise<void> {
  const account = me.value?.account_id;
  try {
    const { items } = await api.get<Pick<Page<RestWait>, "items">>("/v1/waitlist");
    if (me.value?.account_id !== account) return;
    for (const item of items) if (item.live_id === liveId) hub.learn({ kind: "wait", wait: waitOf(item) });
    // A payment that was left in the middle, by a reload or on another page.
    const bought = await api.get<Page<Purchase>>(withQuery("/v1/purchases", { limit: RECENT }));
    if (me.value?.account_id !== account) return;
    for (const purchase of bought.items) {
      if (purchase.live_id === liveId && purchase.state === "requires_action") hub.learn({ kind: "purchase", purchase: statusOf(purchase) });
    }
  } catch {
    // The hub tells of every change; the next connection asks again.
  }
}

export async function join(hub: HubClient, request: WaitRequest): Promise<void> {
  hub.learn({ kind: "wait", wait: waitOf(await api.post<RestWait>("/v1/waitlist", request)) });
}

export async function leave(hub: HubClient, place: Wait): Promise<void> {
  await api.remove(`/v1/waitlist/${seg(place.id)}`);
  hub.learn({ kind: "wait", wait: leftBy(place) });
}

/** The units go to whoever is next. */
export async function giveBack(hub: HubClient, purchaseId: string): Promise<void> {
  const purchase = await api.post<Purchase>(`/v1/purchases/${seg(purchaseId)}/cancel`);
  hub.learn({ kind: "purchase", purchase: statusOf(purchase) });
}
