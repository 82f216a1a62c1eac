import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Query } from "../../api/client";
import { earnings, type EarningsLine } from "../../api/settlement";
import { fullDateTime, money, rate } from "../../i18n/format";
import { named } from "../../reports/Lines";
import { text as reports } from "../../reports/texts";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { words } from "../../ui/words";
import { text } from "./texts";

const PAGE_LINES = 50;

/** The lines that a row of the liver's own figures is the sum of. */
export function MyLines({ label, question, onClose }: { label: string; question: Query; onClose: () => void }): JSX.Element {
  const [lines, setLines] = useState<readonly EarningsLine[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const load = (from: string | null): void => {
    setProblem(null);
    earnings.lines({ ...question, cursor: from, limit: PAGE_LINES }).then((page) => {
      setLines((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  useEffect(() => load(null), []);
  return (
    <Sheet title={text.lines} onClose={onClose} testId="lines-sheet">
      <div class="stack lines">
        <p class="muted small">{label}</p>
        {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
        {lines === null && problem === null && <Loading />}
        {lines !== null && lines.length === 0 && <Empty icon="chart">{reports.no_lines}</Empty>}
        {lines !== null && lines.length > 0 && <Table lines={lines} />}
        {cursor !== null && <button type="button" class="btn" onClick={() => load(cursor)}>{words.more}</button>}
      </div>
    </Sheet>
  );
}

function Table({ lines }: { lines: readonly EarningsLine[] }): JSX.Element {
  return (
    <div class="scroller" tabIndex={0} role="region" aria-label={text.lines}>
      <table class="num">
        <thead><tr>{[reports.at, reports.kind, reports.product, reports.by_brand, reports.qty, reports.base, reports.rate, reports.commission, reports.state].map((heading) => <th key={heading} scope="col">{heading}</th>)}</tr></thead>
        <tbody>{lines.map((line) => (
          <tr key={line.credit_id} class={line.kind} data-testid="credit-line" data-kind={line.kind} data-minor={line.commission_minor}>
            <td>{fullDateTime(line.at_ms)}</td>
            <td><span class={line.kind === "sale" ? "tag ok" : "tag live plain"}>{reports[line.kind]}</span></td>
            <td>{named(line)}</td><td>{line.brand_name}</td><td>{line.qty}</td><td>{money(line.base_minor)}</td><td>{rate(line.commission_bp)}</td><td>{money(line.commission_minor)}</td>
            <td>{line.statement_id === null ? reports[line.state] : <a href={`/statements/${line.statement_id}`}>{reports[line.state]}</a>}</td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}
