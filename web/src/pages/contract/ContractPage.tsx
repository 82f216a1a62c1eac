import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { me } from "../../api/session";
import { contracts, type Contract, type Version } from "../../api/settlement";
import { dateTime, rate } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { contract as text } from "../../settlement/contract-texts";
import { AnswerSheet, type Answer } from "../../settlement/AnswerSheet";
import { before, fieldsOf, firstFields, sideOf, turnOf } from "../../settlement/terms";
import { TermsForm } from "../../settlement/TermsForm";
import { TermsTable } from "../../settlement/TermsTable";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import "../studio/studio.css";
import "../../settlement/settlement.css";

export function ContractPage({ id }: PageProps): JSX.Element {
  return <MemberGate title={text.one} lead={text.gate_lead}><Loaded id={id} /></MemberGate>;
}

function Loaded({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => contracts.load(id), [id]);
  return (
    <main id="main" class="page contract-page" data-testid="contract-page">
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && <Terms of={value} onChange={reload} />}
    </main>
  );
}

/** What counts, what is proposed instead, and what was before. */
function Terms({ of, onChange }: { of: Contract; onChange: () => void }): JSX.Element {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [countering, setCountering] = useState(false);
  const side = sideOf(me.value, of);
  const latest = of.proposed ?? of.current ?? of.versions.at(-1) ?? null;
  const back = side === "liver" ? "/earnings?view=contracts" : `/brand/${of.brand_id}?view=contracts`;
  return (
    <>
      <p><a class="small" href={back}>← {text.title}</a></p>
      <h1 data-testid="contract-title">{fill(text.with, { brand: of.brand_name, liver: of.liver_name })}</h1>
      {of.proposed !== null && <Proposed of={of} version={of.proposed} side={side} onAnswer={setAnswer} />}
      <section class="card panel stack" aria-labelledby="current-title" data-testid="current-terms">
        <div class="row wrap spread"><h2 id="current-title">{text.current}</h2>{of.current !== null && <VersionTag version={of.current} />}</div>
        {of.current === null ? <p class="muted">{text.no_current}</p> : <TermsTable terms={of.current} before={null} />}
      </section>
      {side !== null && !countering && <p><button type="button" class="btn" data-testid="counter" onClick={() => setCountering(true)}>{text.counter}</button></p>}
      {countering && (
        <section class="card panel stack" aria-labelledby="counter-title">
          <h2 id="counter-title">{text.counter_title}</h2>
          <TermsForm brandId={of.brand_id} first={latest === null ? firstFields(Date.now()) : fieldsOf(latest, Date.now())} onCancel={() => setCountering(false)}
            {...(of.proposed === null ? {} : { hint: text.counter_hint })}
            onSend={async (terms, key) => {
              await contracts.counter(of.contract_id, terms, key);
              toast(text.sent);
              setCountering(false);
              onChange();
            }} />
        </section>
      )}
      <History of={of} />
      {answer !== null && <AnswerSheet contract={of} answer={answer} onClose={() => setAnswer(null)} onDone={() => { setAnswer(null); onChange(); }} />}
    </>
  );
}

interface ProposedProps {
  of: Contract;
  version: Version;
  side: ReturnType<typeof sideOf>;
  onAnswer: (answer: Answer) => void;
}

function Proposed({ of, version, side, onAnswer }: ProposedProps): JSX.Element {
  const turn = turnOf(version, side);
  const old = before(of, version);
  const by = version.proposed_by === "brand" ? fill(text.proposal_by_brand, { brand: of.brand_name }) : fill(text.proposal_by_liver, { liver: of.liver_name });
  return (
    <section class="card panel stack proposal" aria-labelledby="proposal-title" data-testid="proposed-terms" data-version={version.version} data-turn={turn ?? ""}>
      <div class="row wrap spread"><h2 id="proposal-title">{text.proposal}</h2><VersionTag version={version} /></div>
      <p class="small muted">{by} ・ {dateTime(version.proposed_at_ms)}{old !== null && ` ・ ${text.changes}`}</p>
      <TermsTable terms={version} before={old} />
      {turn === "answer" && (
        <div class="row wrap">
          <button type="button" class="btn primary" data-testid="accept" onClick={() => onAnswer({ what: "accept", version })}>{text.accept}</button>
          <button type="button" class="btn" data-testid="decline" onClick={() => onAnswer({ what: "decline", version })}>{text.decline}</button>
        </div>
      )}
      {turn === "withdraw" && (
        <p class="row wrap"><span class="tag soon">{text.waiting_them}</span><button type="button" class="btn small" data-testid="withdraw" onClick={() => onAnswer({ what: "withdraw", version })}>{text.withdraw}</button></p>
      )}
    </section>
  );
}

function VersionTag({ version }: { version: Version }): JSX.Element {
  const look = version.state === "agreed" ? "tag ok" : version.state === "proposed" ? "tag soon" : "tag";
  return <span class="row"><span class="small muted num">{fill(text.version, { n: version.version })}</span><span class={look}>{text[version.state]}</span></span>;
}

function History({ of }: { of: Contract }): JSX.Element {
  const newest = [...of.versions].sort((a, b) => b.version - a.version);
  return (
    <section class="card panel stack" aria-labelledby="history-title" data-testid="contract-history">
      <h2 id="history-title">{text.history}</h2>
      <div class="versions">{newest.map((version) => (
        <details key={version.version} data-testid="contract-version" data-version={version.version} data-state={version.state}>
          <summary><VersionTag version={version} /><strong class="num">{rate(version.rate_bp)}</strong><span class="small muted num">{happened(version)}</span></summary>
          <TermsTable terms={version} before={before(of, version)} />
        </details>
      ))}</div>
    </section>
  );
}

function happened(version: Version): string {
  const at = (phrase: string, ms: number | null): string[] => (ms === null ? [] : [fill(phrase, { at: dateTime(ms) })]);
  return [
    ...at(text.proposed_at, version.proposed_at_ms), ...at(text.accepted_by_brand, version.brand_accepted_at_ms),
    ...at(text.accepted_by_liver, version.liver_accepted_at_ms), ...at(text.ended_at, version.ended_at_ms),
  ].join(" ・ ");
}
