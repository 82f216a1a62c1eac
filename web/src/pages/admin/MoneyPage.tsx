import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain, explainFully } from "../../api/problem-texts";
import type { Finding, Reconciliation } from "../../api/types";
import { count, fullDateTime, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { SandboxTag } from "../../payment/SandboxTag";
import { Icon } from "../../ui/icons";
import { RoleGate } from "../../ui/RoleGate";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { AdminTabs } from "./AdminTabs";
import { named } from "./names";
import { text } from "./texts";
import "./admin.css";

const REFRESH_MS = 15_000;

export function MoneyPage(): JSX.Element {
  return (
    <RoleGate title={text.title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="operator" allows={(me) => me.operator}>
      <Money />
    </RoleGate>
  );
}

function Money(): JSX.Element {
  const report = useLoad(() => api.get<Reconciliation>("/v1/reconciliation"), [], REFRESH_MS);
  const [running, setRunning] = useState(false);
  const [open, setOpen] = useState<{ finding: Finding; how: string } | null>(null);
  const run = (): void => {
    setRunning(true);
    api.post("/v1/reconciliation/runs").then(() => {
      toast(text.ran);
      report.reload();
    }, (thrown: unknown) => toast(explain(thrown), true)).finally(() => setRunning(false));
  };
  const value = report.value;
  return (
    <main id="main" class="page money-page" data-testid="money-page">
      <AdminTabs shown="money" />
      <div class="row wrap spread head">
        <div>
          <h1>{text.title}</h1>
          <p class="muted">{text.lead}</p>
        </div>
        <div class="row wrap">
          <SandboxTag />
          <button type="button" class="btn ink" disabled={running} data-testid="run-now" onClick={run}>
            {running ? <><span class="spinner tiny" />{text.running}</> : text.run}
          </button>
        </div>
      </div>
      {report.problem !== null && <Failed problem={report.problem} onRetry={report.reload} />}
      {value === null && report.problem === null && <Loading />}
      {value !== null && (
        <>
          <Verdict report={value} />
          <Findings items={value.items} onResolve={(finding, how) => setOpen({ finding, how })} />
          <div class="money-columns">
            <Clearing report={value} />
            <Balances report={value} />
          </div>
          <p class="small muted num">
            {fill(text.as_of, { at: fullDateTime(value.as_of_ms) })}{" ・ "}
            {value.last_run === null ? text.never : fill(text.last_run, { at: fullDateTime(value.last_run.ended_at_ms), n: count(value.last_run.entries) })}
          </p>
        </>
      )}
      {open !== null && value !== null && (
        <ResolveSheet finding={open.finding} how={open.how} onClose={() => setOpen(null)} onDone={() => { setOpen(null); report.reload(); }} />
      )}
    </main>
  );
}

/** The one line that an operator must read. */
function Verdict({ report }: { report: Reconciliation }): JSX.Element {
  const good = report.open === 0;
  return (
    <p class={good ? "notice good row" : "notice bad row"} role="status" data-testid="verdict" data-open={report.open}>
      <Icon name={good ? "check" : "shield"} /><strong>{good ? text.all_good : fill(text.open, { n: count(report.open) })}</strong>
    </p>
  );
}

function Clearing({ report }: { report: Reconciliation }): JSX.Element {
  const { clearing_minor, provider_minor, difference_minor } = report;
  const row = (label: string, minor: number, testId: string): JSX.Element => (
    <tr class={testId === "difference" && minor !== 0 ? "off" : ""}><th scope="row">{label}</th><td data-testid={testId} data-minor={minor}>{money(minor)}</td></tr>
  );
  return (
    <section class="card panel" aria-labelledby="clearing-title">
      <h2 id="clearing-title">{text.clearing}</h2>
      <table class="num books"><tbody>
        {row(text.ours, clearing_minor, "clearing-ours")}
        {row(text.theirs, provider_minor, "clearing-theirs")}
        {row(text.difference, difference_minor, "difference")}
      </tbody></table>
    </section>
  );
}

function Balances({ report }: { report: Reconciliation }): JSX.Element {
  return (
    <section class="card panel" aria-labelledby="balances-title">
      <h2 id="balances-title">{text.balances}</h2>
      <p class="small muted">{text.sign}</p>
      <table class="num books">
        <thead class="sr"><tr><th scope="col">{text.account}</th><th scope="col">{text.balance}</th></tr></thead>
        <tbody>{report.accounts.map(({ account, balance_minor: minor }) => (
          <tr key={account} data-testid="balance" data-account={account} data-minor={minor}><th scope="row">{named("account", account)}</th><td>{money(minor)}</td></tr>
        ))}</tbody>
      </table>
    </section>
  );
}

function Findings({ items, onResolve }: { items: readonly Finding[]; onResolve: (finding: Finding, how: string) => void }): JSX.Element {
  return (
    <section class="stack" aria-labelledby="findings-title">
      <h2 id="findings-title">{text.findings}</h2>
      {items.length === 0 ? <div class="card"><Empty icon="check">{text.no_findings}</Empty></div> : (
        <ul class="stack">{items.map((finding) => (
          <li key={finding.id}>
            <article class="card panel stack finding" data-testid="finding" data-kind={finding.kind} data-id={finding.id}>
              <div class="row wrap spread">
                <h3>{named("kind", finding.kind)}</h3>
                <strong class="num">{money(finding.theirs_minor - finding.ours_minor)}</strong>
              </div>
              <Sides finding={finding} />
              <p class="small muted num"><code>{finding.subject}</code> {fill(text.found, { at: fullDateTime(finding.found_at_ms) })}</p>
              <div class="row wrap">
                {finding.ways.map((how) => (
                  <button key={how} type="button" class="btn small" data-testid="resolve" data-how={how} onClick={() => onResolve(finding, how)}>{named("how", how)}</button>
                ))}
              </div>
            </article>
          </li>
        ))}</ul>
      )}
    </section>
  );
}

/** What each side says of it. */
function Sides({ finding }: { finding: Finding }): JSX.Element {
  return (
    <dl class="sides small num">
      <div><dt>{text.ours}</dt><dd>{money(finding.ours_minor)}</dd></div>
      <div><dt>{text.theirs}</dt><dd>{money(finding.theirs_minor)}</dd></div>
    </dl>
  );
}

interface ResolveSheetProps {
  finding: Finding;
  how: string;
  onClose: () => void;
  onDone: () => void;
}

/** One click, and one to be sure of it: money may move. */
function ResolveSheet({ finding, how, onClose, onDone }: ResolveSheetProps): JSX.Element {
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const send = (): void => {
    setBusy(true);
    setProblem(null);
    api.post<Finding>(`/v1/reconciliation/items/${seg(finding.id)}/resolution`, { how, note: note.trim() }).then(({ state }) => {
      toast(state === "open" ? text.still_open : text.resolved, state === "open");
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text.resolve_title} onClose={onClose} testId="resolve-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <p class="row wrap spread"><strong>{named("how", how)}</strong><span class="num">{money(finding.theirs_minor - finding.ours_minor)}</span></p>
        <p>{named("kind", finding.kind)}</p>
        <Sides finding={finding} />
        <p class="small muted">{named("means", how)}</p>
        <label class="field"><span>{text.note}</span>
          <input class="input" value={note} maxLength={500} required={how === "accept"} data-testid="resolve-note" onInput={(event) => setNote(event.currentTarget.value)} />
        </label>
        {problem !== null && <p class="notice bad" role="alert" data-testid="resolve-problem">{problem}</p>}
        <button type="submit" class="btn primary wide" disabled={busy} data-testid="resolve-confirm">{busy ? text.sending : text.confirm}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}
