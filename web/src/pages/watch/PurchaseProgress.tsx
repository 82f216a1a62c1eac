import type { JSX } from "preact";
import { problemName } from "../../api/problem";
import { problemText } from "../../api/problem-texts";
import type { Purchase } from "../../api/types";
import { money } from "../../i18n/format";
import { isDelayed, isStockShort, outcome } from "../../purchase/status";
import type { Followed } from "../../purchase/useFollow";
import { Icon } from "../../ui/icons";
import { words } from "../../ui/words";
import { buy } from "./buy-texts";

interface PurchaseProgressProps {
  placed: Purchase;
  followed: Followed;
  onClose: () => void;
  onAgain: () => void;
}

/** From the second tap to 支払い完了, by itself. */
export function PurchaseProgress({ placed, followed, onClose, onAgain }: PurchaseProgressProps): JSX.Element {
  const state = followed.view?.state ?? placed.state;
  const reached = outcome(state);
  return (
    <div class="progress" role="status" aria-live="polite" data-testid="purchase-status" data-state={state} data-outcome={reached} data-purchase={placed.id}>
      {reached === "paid" && (
        <>
          <span class="seal" aria-hidden="true"><Icon name="check" /></span>
          <h3>{buy.paid}</h3>
          <p class="num total">{money(placed.total_minor, placed.currency)}</p>
          <dl class="order-number"><dt>{buy.order_number}</dt><dd class="num" data-testid="order-number">{followed.order?.number ?? "…"}</dd></dl>
          {isDelayed(state, followed.view?.shortUnits ?? placed.short_units) && <p class="notice" data-testid="delayed">{buy.delayed}</p>}
          <p class="tag demo">{words.sandbox}</p>
          <button type="button" class="btn ink wide" data-testid="keep-watching" onClick={onClose}>{buy.keep_watching}</button>
        </>
      )}
      {reached === "moving" && (
        <>
          <span class="spinner big" aria-hidden="true" />
          <h3>{state === "held" ? buy.held : buy.paying}</h3>
          <p class="num total">{money(placed.total_minor, placed.currency)}</p>
        </>
      )}
      {reached === "lost" && (
        <>
          <p class="notice bad" data-testid="lost">{lostText(state, followed.view?.reason ?? placed.reason)}</p>
          <button type="button" class="btn ink wide" data-testid="buy-again" onClick={onAgain}>{buy.start_over}</button>
        </>
      )}
    </div>
  );
}

function lostText(state: string, reason: string | null): string {
  if (isStockShort(state, reason)) return buy.lost_short;
  if (reason !== null && problemName(reason) !== "unknown") return problemText(problemName(reason));
  switch (state) {
    case "expired": return buy.lost_expired;
    case "cancelled": return buy.lost_cancelled;
    case "refunded": return buy.lost_refunded;
    default: return problemText("payment-declined");
  }
}
