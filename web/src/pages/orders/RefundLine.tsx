import type { JSX } from "preact";
import type { Refund } from "../../api/types";
import { fullDateTime, money } from "../../i18n/format";
import { text } from "./texts";

/** What became of one refund; `seller`: in words for who gave it. */
export function RefundLine({ refund, seller = false }: { refund: Refund; seller?: boolean }): JSX.Element {
  const said = refund.state === "pending" ? text.refund_pending : refund.state === "failed" ? (seller ? text.refund_failed_seller : text.refund_failed)
    : refund.kind === "void" ? text.void_succeeded : text.refund_succeeded;
  return (
    <div class="refund" data-testid="refund" data-state={refund.state} data-kind={refund.kind} data-minor={refund.amount_minor}>
      <span class="small muted num">{fullDateTime(refund.settled_at_ms ?? refund.created_at_ms)}</span>
      <span class={refund.state === "succeeded" ? "tag ok" : refund.state === "pending" ? "tag soon" : "tag act"}>{said}</span>
      <strong class="num">{money(refund.amount_minor, refund.currency)}</strong>
    </div>
  );
}
