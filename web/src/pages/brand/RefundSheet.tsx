import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { asProblem } from "../../api/problem";
import { explainFully } from "../../api/problem-texts";
import type { BrandOrder, OrderLine, Refund } from "../../api/types";
import { money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { SandboxTag } from "../../payment/SandboxTag";
import { persist } from "../../purchase/persist";
import { uuid } from "../../purchase/uuid";
import { Icon } from "../../ui/icons";
import { Sheet } from "../../ui/Sheet";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import { orders } from "./orders-texts";
import { everything, leftOf, refundRequest, totalOf, type Chosen } from "./refund";

interface RefundSheetProps {
  order: BrandOrder;
  onClose: () => void;
  onDone: () => void;
}

/** Which units are given back, whether they can be sold again, and why. One sheet is one return, however often it is sent. */
export function RefundSheet({ order, onClose, onDone }: RefundSheetProps): JSX.Element {
  const [chosen, setChosen] = useState<Chosen>(() => everything(order.lines));
  const sent = order.state === "fulfilled";
  const [restock, setRestock] = useState(!sent);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const request = refundRequest(order.lines, chosen, restock, reason);
  // The same words are the same return; other words are another one.
  const key = useMemo(uuid, [JSON.stringify(request)]);
  const amount = money(totalOf(order.lines, chosen), order.currency);
  const empty = request.lines?.length === 0;

  const send = (): void => {
    if (busy || empty) return;
    setBusy(true);
    setProblem(null);
    persist(() => api.post<Refund>(`/v1/orders/${seg(order.id)}/refunds`, request, { idempotencyKey: key }), {}).then((refund) => {
      const done = refund.state === "pending" ? orders.done_pending : refund.state === "failed" ? orders.done_failed : orders.done;
      toast(fill(done, { amount: money(refund.amount_minor, refund.currency) }), refund.state === "failed");
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(asProblem(thrown)))).finally(() => setBusy(false));
  };

  return (
    <Sheet title={orders.refund_title} onClose={onClose} testId="refund-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <p class="row wrap spread"><span class="num">{order.number}</span><SandboxTag /></p>
        {order.state === "authorized" && <p class="notice">{orders.refund_lead_void}</p>}
        <ul class="refund-lines" aria-label={orders.units}>
          {order.lines.filter((line) => leftOf(line) > 0).map((line) => (
            <li key={line.id}><Units line={line} value={chosen[line.id] ?? 0} disabled={busy} onChange={(units) => setChosen({ ...chosen, [line.id]: units })} /></li>
          ))}
        </ul>
        {order.lines.length > 1 && (
          <button type="button" class="btn small" disabled={busy} data-testid="refund-all" onClick={() => setChosen(everything(order.lines))}>{orders.all}</button>
        )}
        {/* Goods that never left the shelf are back in any case. */}
        {!sent ? <p class="small muted">{orders.unsent}</p> : <label class="check"><input type="checkbox" checked={restock} disabled={busy} data-testid="restock" onChange={(event) => setRestock(event.currentTarget.checked)} />
          <span>{orders.restock}<br /><span class="small muted">{orders.restock_hint}</span></span></label>}
        <label class="field"><span>{orders.reason}</span>
          <input class="input" value={reason} required maxLength={500} disabled={busy} data-testid="refund-reason" onInput={(event) => setReason(event.currentTarget.value)} />
          <span class="hint">{orders.reason_hint}</span>
        </label>
        <p class="row spread amount" role="status"><span>{orders.amount}</span><strong class="num" data-testid="refund-amount" data-minor={totalOf(order.lines, chosen)}>{amount}</strong></p>
        {empty && <p class="small muted">{orders.none_chosen}</p>}
        {problem !== null && <p class="notice bad" role="alert" data-testid="refund-problem">{problem}</p>}
        <button type="submit" class="btn primary wide" disabled={busy || empty} data-testid="refund-confirm">
          {busy ? <><span class="spinner tiny" />{orders.sending}</> : fill(orders.confirm, { amount })}
        </button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}

function Units({ line, value, disabled, onChange }: { line: OrderLine; value: number; disabled: boolean; onChange: (units: number) => void }): JSX.Element {
  const product = line.variant === null || line.variant === "" ? line.product_title : `${line.product_title} / ${line.variant}`;
  const left = leftOf(line);
  return (
    <div class="row spread">
      <span class="grow">{product}<br /><span class="small muted num">{money(line.unit_price_minor)} {fill(orders.of, { n: left })}</span></span>
      <div class="stepper" role="group" aria-label={product}>
        <button type="button" class="icon-btn" aria-label={fill(orders.fewer, { product })} disabled={disabled || value <= 0} data-testid="units-minus" onClick={() => onChange(value - 1)}><Icon name="minus" /></button>
        <output class="num" aria-live="polite" data-testid="units">{value}</output>
        <button type="button" class="icon-btn" aria-label={fill(orders.more, { product })} disabled={disabled || value >= left} data-testid="units-plus" onClick={() => onChange(value + 1)}><Icon name="plus" /></button>
      </div>
    </div>
  );
}
