import type { JSX } from "preact";
import type { PurchaseStatus } from "../../hub/model";
import type { Room } from "../../hub/room";
import { pay } from "../../payment/texts";

/** A payment that waits for its buyer: after a reload, or when its sheet was closed. */
export function PendingBanner({ room, covered, onOpen }: { room: Room; covered: boolean; onOpen: (purchaseId: string) => void }): JSX.Element {
  const pending = covered ? undefined : pendingOf(room.purchases.values());
  return (
    <div aria-live="polite" class="banner-place">
      {pending !== undefined && (
        <div class="banner news" data-testid="pending-payment" data-purchase={pending.id}>
          <p>{pay.pending_banner}</p>
          <div class="row">
            <button type="button" class="btn small primary" data-testid="pending-open" onClick={() => onOpen(pending.id)}>{pay.pending_open}</button>
          </div>
        </div>
      )}
    </div>
  );
}

/** The one whose time runs out first. */
export function pendingOf(purchases: Iterable<PurchaseStatus>): PurchaseStatus | undefined {
  return [...purchases].filter(({ state }) => state === "requires_action").sort((a, b) => a.holdExpiresAtMs - b.holdExpiresAtMs)[0];
}
