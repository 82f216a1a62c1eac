import type { JSX } from "preact";
import { api, seg } from "../../api/client";
import type { Purchase } from "../../api/types";
import { PurchaseProgress } from "../../payment/PurchaseProgress";
import { outcome } from "../../purchase/status";
import { useFollow } from "../../purchase/useFollow";
import { Sheet } from "../../ui/Sheet";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { buy } from "./buy-texts";
import type { Visit } from "./store";

/** A purchase that was placed before: taken up where it stands. */
export function PurchaseSheet({ here, purchaseId, onClose }: { here: Visit; purchaseId: string; onClose: () => void }): JSX.Element {
  const found = useLoad(() => api.get<Purchase>(`/v1/purchases/${seg(purchaseId)}`), [purchaseId]);
  const followed = useFollow(found.value, here.room.value.purchases.get(purchaseId));
  const reached = outcome(followed.view?.state ?? "");
  const title = reached === "paid" ? buy.thanks : reached === "lost" ? buy.failed : buy.progress;
  return (
    <Sheet title={title} onClose={onClose} testId="purchase-sheet">
      {found.value === null && (found.problem === null ? <Loading lines={2} /> : <Failed problem={found.problem} onRetry={found.reload} />)}
      {found.value !== null && (
        <PurchaseProgress placed={found.value} followed={followed} fresh={false}>
          <button type="button" class="btn ink wide" data-testid="keep-watching" onClick={onClose}>{buy.keep_watching}</button>
        </PurchaseProgress>
      )}
    </Sheet>
  );
}
