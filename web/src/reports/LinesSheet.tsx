import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Query } from "../api/client";
import { reports, type CreditLine } from "../api/reports";
import { Sheet } from "../ui/Sheet";
import { Empty, Failed, Loading } from "../ui/states";
import { words } from "../ui/words";
import { Lines } from "./Lines";
import { text } from "./texts";
import { Why } from "./Why";

const PAGE_LINES = 50;

interface LinesSheetProps {
  brandId: string;
  /** What they are the lines of. */
  label: string;
  /** The figure's own question, so that the lines add up to it. */
  question: Query;
  onClose: () => void;
}

/** The ledger lines that a figure is the sum of, and of each of them why it is whose. */
export function LinesSheet({ brandId, label, question, onClose }: LinesSheetProps): JSX.Element {
  const [lines, setLines] = useState<readonly CreditLine[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [why, setWhy] = useState<CreditLine | null>(null);

  const load = (from: string | null): void => {
    setProblem(null);
    reports.lines(brandId, { ...question, cursor: from, limit: PAGE_LINES }).then((page) => {
      setLines((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  useEffect(() => load(null), []);

  return (
    <Sheet title={why === null ? text.lines : text.why} onClose={onClose} testId="lines-sheet">
      {why !== null && (
        <div class="stack lines">
          <p><button type="button" class="btn small" data-testid="back-to-lines" onClick={() => setWhy(null)}>← {text.back_to_lines}</button></p>
          <Why brandId={brandId} lineId={why.order_line_id} />
        </div>
      )}
      <div class="stack lines" hidden={why !== null}>
        <p class="muted small">{label}</p>
        {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
        {lines === null && problem === null && <Loading />}
        {lines !== null && lines.length === 0 && <Empty icon="chart">{text.no_lines}</Empty>}
        {lines !== null && lines.length > 0 && <Lines lines={lines} onWhy={setWhy} />}
        {cursor !== null && <button type="button" class="btn" data-testid="more-lines" onClick={() => load(cursor)}>{words.more}</button>}
      </div>
    </Sheet>
  );
}
