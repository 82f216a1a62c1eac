import type { JSX } from "preact";
import { lazily } from "../../ui/lazily";
import { RoleGate } from "../../ui/RoleGate";
import { query } from "../../ui/router";
import { useShown } from "../../ui/useShown";
import { EarningsView } from "./EarningsView";
import { text } from "./texts";
import "../studio/studio.css";
import "../../reports/reports.css";
import "../../settlement/settlement.css";
import "./earnings.css";

const VIEWS = ["earnings", "statements", "contracts", "payee"] as const;
type View = (typeof VIEWS)[number];

const Statements = lazily(async () => (await import("./MyStatements")).MyStatements);
const Contracts = lazily(async () => (await import("./MyContracts")).MyContracts);
const Payee = lazily(async () => (await import("./PayeeForm")).PayeeForm);

export function EarningsPage(): JSX.Element {
  return (
    <RoleGate title={text.gate_title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="liver" allows={(me) => me.liver_id !== null}>
      <Desk />
    </RoleGate>
  );
}

/** Which view is shown stands in the address. */
function Desk(): JSX.Element {
  const named = new URLSearchParams(query.value).get("view");
  const shown: View = VIEWS.find((view) => view === named) ?? "earnings";
  const tabs = useShown<HTMLElement>(shown);
  return (
    <main id="main" class="page earnings-page" data-testid="earnings-page">
      <nav ref={tabs} class="segments" aria-label={text.tabs}>{VIEWS.map((view) => (
        <a key={view} href={view === "earnings" ? "/earnings" : `/earnings?view=${view}`} aria-current={view === shown ? "page" : undefined} data-testid={`view-${view}`}>{text[view]}</a>
      ))}</nav>
      {shown === "earnings" && <EarningsView />}
      {shown === "statements" && <Statements />}
      {shown === "contracts" && <Contracts />}
      {shown === "payee" && <Payee />}
    </main>
  );
}
