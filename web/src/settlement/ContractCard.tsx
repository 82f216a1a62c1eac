import type { JSX } from "preact";
import { me } from "../api/session";
import type { Contract } from "../api/settlement";
import { rate } from "../i18n/format";
import { contract as text } from "./contract-texts";
import { sideOf, turnOf } from "./terms";
import { periodWords } from "./TermsTable";

/** One contract of a list: with whom, at what rate, and whose turn it is. */
export function ContractCard({ of, titled }: { of: Contract; titled: "brand" | "liver" }): JSX.Element {
  const turn = of.proposed === null ? null : turnOf(of.proposed, sideOf(me.value, of));
  return (
    <article class="card panel row wrap spread contract-card" data-testid="contract" data-contract={of.contract_id} data-turn={turn ?? ""}>
      <div class="grow">
        <p class="row wrap">
          {of.current !== null && <span class="tag ok">{text.in_force}</span>}
          {turn === "answer" && <span class="tag live plain">{text.waiting_you}</span>}
          {turn === "withdraw" && <span class="tag soon">{text.waiting_them}</span>}
          {turn === null && of.proposed !== null && <span class="tag soon">{text.proposed}</span>}
        </p>
        <h2>{titled === "brand" ? of.brand_name : of.liver_name}</h2>
        <p class="small muted">{of.current === null ? text.no_current : periodWords(of.current)}</p>
      </div>
      {of.current !== null && <p class="now"><span class="small muted">{text.rate_now}</span><strong class="num">{rate(of.current.rate_bp)}</strong></p>}
      <a class={turn === "answer" ? "btn small primary" : "btn small"} href={`/contracts/${of.contract_id}`} data-testid="open-contract">{text.open}</a>
    </article>
  );
}
