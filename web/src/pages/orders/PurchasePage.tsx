import type { JSX } from "preact";
import { api, seg } from "../../api/client";
import type { Purchase } from "../../api/types";
import { PurchaseProgress } from "../../payment/PurchaseProgress";
import { pay } from "../../payment/texts";
import { isAboutCard, lossOf, outcome } from "../../purchase/status";
import { useFollow } from "../../purchase/useFollow";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { text } from "./texts";
import "./orders.css";

/** Where a payment comes back to: the provider is asked now, and the page says what became of it. */
export function PurchasePage({ id }: Pick<PageProps, "id">): JSX.Element {
  return <MemberGate title={text.purchase} lead={text.gate_lead}><Back id={id} /></MemberGate>;
}

function Back({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => found(id), [id]);
  const followed = useFollow(value, undefined);
  const view = followed.view;
  const lost = view !== null && outcome(view.state) === "lost" && isAboutCard(lossOf(view));
  return (
    <main id="main" class="page purchase-page" data-testid="purchase-page">
      <h1>{text.purchase}</h1>
      {problem !== null && value === null && <Failed problem={problem} onRetry={reload} />}
      <div class="card panel">
        {value === null && problem === null && <div role="status"><p class="sr">{text.checking}</p><Loading lines={2} /></div>}
        {value !== null && (
          <PurchaseProgress placed={value} followed={followed} fresh={false}>
            {view?.orderId !== null && view?.orderId !== undefined && <a class="btn wide" href={`/orders/${view.orderId}`} data-testid="to-order">{pay.to_order}</a>}
            <a class="btn ink wide" href={`/watch/${value.live_id}`} data-testid="to-live">{lost ? pay.to_live_again : pay.to_live}</a>
          </PurchaseProgress>
        )}
      </div>
      <p><a class="small" href="/orders">{pay.to_orders}</a></p>
    </main>
  );
}

/** The provider's word where it can be had now; what the server knows otherwise. */
async function found(id: string): Promise<Purchase> {
  const path = `/v1/purchases/${seg(id)}`;
  const known = await api.get<Purchase>(path);
  if (outcome(known.state) !== "moving" || known.state === "held") return known;
  return api.post<Purchase>(`${path}/refresh`).catch(() => known);
}
