import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { problemName } from "../api/problem";
import { problemText } from "../api/problem-texts";
import type { Purchase } from "../api/types";
import { count, duration, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { isAboutCard, isDelayed, isPartlyRefunded, lossOf, outcome, phaseOf, type Loss, type PurchaseView } from "../purchase/status";
import { viewOf, type Followed } from "../purchase/useFollow";
import { Icon } from "../ui/icons";
import { buy } from "../pages/watch/buy-texts";
import { ActionPanel } from "./ActionPanel";
import { isVoucher } from "./options";
import { SandboxTag } from "./SandboxTag";
import { pay } from "./texts";
import "./payment.css";

interface PurchaseProgressProps {
  placed: Purchase;
  followed: Followed;
  /** Placed on this page a moment ago, not found again. */
  fresh: boolean;
  /** What follows at the end, whichever it was. */
  children: ComponentChildren;
  /** A new order, where one can be placed from here; `card`: what was paid with was the trouble. */
  onAgain?: ((about: "card" | "order") => void) | undefined;
}

/** From the second tap to 支払い完了, by itself; or to what the buyer must do or know. */
export function PurchaseProgress({ placed, followed, fresh, children, onAgain }: PurchaseProgressProps): JSX.Element {
  const view = followed.view ?? viewOf(placed);
  const phase = phaseOf(view, useSeenFor(view.state), isVoucher(placed.id));
  const reached = outcome(view.state);
  const total = <p class="num total">{money(placed.total_minor, placed.currency)}</p>;
  return (
    <div class="progress" role="status" aria-live="polite" data-testid="purchase-status" data-state={view.state} data-outcome={reached} data-phase={phase}
      data-purchase={placed.id}>
      {phase === "paid" && (
        <>
          <span class="seal" aria-hidden="true"><Icon name="check" /></span>
          <h3>{buy.paid}</h3>
          {total}
          <dl class="order-number"><dt>{buy.order_number}</dt><dd class="num" data-testid="order-number">{followed.order?.number ?? "…"}</dd></dl>
          {isPartlyRefunded(view.state, view.refundedMinor) && (
            <p class="notice" data-testid="part-refunded">{fill(pay.part_refunded, { amount: money(view.refundedMinor ?? 0, placed.currency) })}</p>
          )}
          {isDelayed(view.state, view.shortUnits) && <p class="notice" data-testid="delayed">{buy.delayed}</p>}
        </>
      )}
      {(phase === "held" || phase === "paying" || phase === "queued" || phase === "checking") && (
        <>
          <span class="spinner big" aria-hidden="true" />
          <h3>{phase === "held" ? buy.held : phase === "checking" ? pay.checking_title : pay.paying}</h3>
          {total}
          {phase === "queued" && <Queue view={view} />}
          {phase === "checking" && <p class="notice" data-testid="checking">{pay.checking}</p>}
        </>
      )}
      {(phase === "action" || phase === "voucher") && (
        <>
          {total}
          <ActionPanel purchaseId={placed.id} voucher={phase === "voucher"} fresh={fresh} onKnown={followed.learn} />
        </>
      )}
      {phase === "lost" && <Lost view={view} onAgain={onAgain} />}
      <SandboxTag />
      {(reached !== "moving" || phase === "checking" || phase === "voucher") && children}
    </div>
  );
}

function Queue({ view }: { view: PurchaseView }): JSX.Element | null {
  const wait = view.paymentWait ?? null;
  if (wait === null) return null;
  return (
    <div class="notice" data-testid="payment-queue" data-position={wait.position}>
      <p class="num">{fill(pay.queue, { n: count(wait.position), time: duration(Math.ceil(wait.estimateMs / 1_000)) })}</p>
      <p class="small">{pay.queue_note}</p>
    </div>
  );
}

function Lost({ view, onAgain }: { view: PurchaseView; onAgain: PurchaseProgressProps["onAgain"] }): JSX.Element {
  const loss = lossOf(view);
  const card = isAboutCard(loss);
  return (
    <>
      <p class={loss === "refunded" ? "notice good" : "notice bad"} data-testid="lost" data-loss={loss}>{lossText(loss, view.reason)}</p>
      {onAgain !== undefined && (
        <button type="button" class="btn primary wide" data-testid={card ? "another-card" : "buy-again"} onClick={() => onAgain(card ? "card" : "order")}>
          {card ? pay.another : buy.start_over}
        </button>
      )}
    </>
  );
}

/** Why there is no order, in words. */
export function lossText(loss: Loss, reason: string | null): string {
  switch (loss) {
    case "declined": return pay.declined;
    case "insufficient": return pay.declined_insufficient;
    case "expired-card": return pay.declined_expired;
    case "authentication": return pay.declined_authentication;
    case "timed-out": return pay.timed_out;
    case "late": return pay.late;
    case "payment-cancelled": return pay.cancelled;
    case "refunded": return pay.refunded;
    case "stock-short": return buy.lost_short;
    case "hold-expired": return buy.lost_expired;
    case "cancelled": return buy.lost_cancelled;
    case "other": {
      const name = problemName(reason);
      return name === "unknown" ? buy.lost_cancelled : problemText(name);
    }
  }
}

/** For how long this state has been seen, in steps that are coarse enough to draw. */
function useSeenFor(state: string): number {
  const [since, setSince] = useState({ state, atMs: performance.now(), nowMs: performance.now() });
  useEffect(() => {
    const atMs = performance.now();
    setSince({ state, atMs, nowMs: atMs });
    if (outcome(state) !== "moving") return undefined;
    const timer = setInterval(() => setSince({ state, atMs, nowMs: performance.now() }), 1_000);
    return () => clearInterval(timer);
  }, [state]);
  return since.state === state ? since.nowMs - since.atMs : 0;
}
