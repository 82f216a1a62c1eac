import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Query } from "../../api/client";
import type { CreditLine } from "../../api/reports";
import { earnings } from "../../api/settlement";
import { Lines } from "../../reports/Lines";
import { text as reports } from "../../reports/texts";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { words } from "../../ui/words";
import { text } from "./texts";

const PAGE_LINES = 50;

/** The lines that a row of the liver's own figures is the sum of. */
export function MyLines({ label, question, onClose }: { label: string; question: Query; onClose: () => void }): JSX.Element {
  const [lines, setLines] = useState<readonly CreditLine[] | null>(null);
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
        {lines !== null && lines.length > 0 && <Lines lines={lines} />}
        {cursor !== null && <button type="button" class="btn" onClick={() => load(cursor)}>{words.more}</button>}
      </div>
    </Sheet>
  );
}
