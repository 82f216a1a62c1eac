import type { JSX } from "preact";
import { reports, type Attribution, type ExplainedCredit, type Step } from "../api/reports";
import { fullDateTime, money, rate } from "../i18n/format";
import { language } from "../i18n/language";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { Failed, Loading } from "../ui/states";
import { useLoad } from "../ui/useLoad";
import { named } from "./Lines";
import { text } from "./texts";
import { touchKind, why } from "./why-texts";
import "./why.css";

/** Why a sale is whose, in words: what the rule looked at, in its order, and what the ledger says of it. */
export function Why({ brandId, lineId }: { brandId: string; lineId: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => reports.attribution(brandId, lineId), [brandId, lineId]);
  if (value === null) return problem === null ? <Loading /> : <Failed problem={problem} onRetry={reload} />;
  const decisive = value.steps.findIndex((step) => step.decided ?? step.matched);
  return (
    <div class="stack why" data-testid="attribution" data-owner={value.owner?.liver_id ?? ""} data-rule={value.rule ?? ""}>
      <p class="verdict" data-testid="why-words">{language.value === "ja" ? value.ja : value.en}</p>
      <Facts of={value} />
      <section class="stack" aria-labelledby="why-steps">
        <h2 id="why-steps">{why.steps}</h2>
        <p class="small muted">{why.steps_lead}</p>
        <ol class="steps">{value.steps.map((step, index) => <li key={step.rule}><OneStep step={step} decides={index === decisive} /></li>)}</ol>
      </section>
      {value.assists.length > 0 && (
        <section class="stack" aria-labelledby="why-assists">
          <h2 id="why-assists">{why.assists}</h2>
          <p class="small muted">{why.assists_lead}</p>
          <ul class="touches">{value.assists.map((assist) => (
            <li key={`${assist.live_id} ${assist.at_ms}`} data-testid="why-assist"><strong>{assist.title}</strong> {touchKind(assist.kind)} <span class="muted num">{fullDateTime(assist.at_ms)}</span></li>
          ))}</ul>
        </section>
      )}
      <section class="stack" aria-labelledby="why-credits">
        <h2 id="why-credits">{why.credits}</h2>
        <Credits credits={value.credits} />
        <p class={value.recomputed ? "notice good" : "notice bad"} data-testid="recomputed" data-good={String(value.recomputed)}>{value.recomputed ? why.recomputed : why.not_recomputed}</p>
      </section>
    </div>
  );
}

function Facts({ of }: { of: Attribution }): JSX.Element {
  return (
    <dl class="why-facts">
      <div><dt>{why.owner}</dt><dd>{of.owner === null ? why.nobody : <><strong>{of.owner.liver_name}</strong>{of.owner.live_title !== null && <span class="small muted"> {of.owner.live_title}</span>}</>}</dd></div>
      {of.staff !== null && <div><dt>{why.staff}</dt><dd>{of.staff.name}{of.staff.location !== null && <span class="small muted"> {of.staff.location}</span>}</dd></div>}
      <div><dt>{why.product}</dt><dd>{named(of)} × {of.qty}</dd></div>
      <div><dt>{why.amount}</dt><dd class="num">{money(of.amount_minor)}</dd></div>
      <div><dt>{why.sold}</dt><dd class="num">{fullDateTime(of.sold_at_ms)}</dd></div>
      <div><dt>{why.order}</dt><dd class="num">{of.order_number}</dd></div>
      <div><dt>{why.contract}</dt><dd>{of.contract === null ? why.no_contract : (
        <>{fill(why.contract_version, { n: of.contract.version, rate: rate(of.contract.rate_bp) })} <a class="small" href={`/contracts/${of.contract.contract_id}`}>{why.open_contract}</a></>
      )}</dd></div>
      <div><dt>{why.rule}</dt><dd>{fill(why.rule_version, { n: of.rule_version })}</dd></div>
    </dl>
  );
}

function Credits({ credits }: { credits: readonly ExplainedCredit[] }): JSX.Element {
  return (
    <div class="scroller" tabIndex={0} role="region" aria-label={why.credits}>
      <table class="num">
        <thead><tr>{[text.at, text.kind, why.pool, text.qty, text.base, text.rate, text.commission].map((heading) => <th key={heading} scope="col">{heading}</th>)}</tr></thead>
        <tbody>{credits.map((credit) => (
          <tr key={credit.credit_id} class={credit.kind} data-testid="why-credit" data-kind={credit.kind} data-pool={credit.pool} data-base={credit.base_minor}>
            <td>{fullDateTime(credit.at_ms)}</td><td><span class={credit.kind === "sale" ? "tag ok" : "tag live plain"}>{text[credit.kind]}</span></td>
            <td>{credit.pool === "liver" ? text.by_liver : text.by_staff}</td><td>{credit.qty}</td><td>{money(credit.base_minor)}</td><td>{rate(credit.commission_bp)}</td><td>{money(credit.commission_minor)}</td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}

function OneStep({ step, decides }: { step: Step; decides: boolean }): JSX.Element {
  return (
    <div class={`step ${step.matched ? "matched" : "unmatched"}${decides ? " decides" : ""}`} data-testid="why-step" data-rule={step.rule} data-matched={String(step.matched)}>
      <span class="mark"><Icon name={step.matched ? "check" : "minus"} /></span>
      <div class="grow">
        <p>{language.value === "ja" ? step.ja : step.en}</p>
        <p class="small row wrap"><span class={step.matched ? "tag ok" : "tag"}>{step.matched ? why.matched : why.unmatched}</span>{decides && <span class="tag soon">{why.decided}</span>}</p>
        {step.touches.length > 0 && (
          <ul class="touches small" aria-label={why.touches}>{step.touches.map((touch) => (
            <li key={touch.touch_id}>{touchKind(touch.kind)}{touch.live_title !== null && `「${touch.live_title}」`} <span class="muted num">{fullDateTime(touch.at_ms)}</span></li>
          ))}</ul>
        )}
      </div>
    </div>
  );
}
