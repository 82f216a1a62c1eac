import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { statements, type Statement } from "../../api/settlement";
import { statement as text } from "../../settlement/statement-texts";
import { StatementTable } from "../../settlement/StatementTable";
import { Empty, Failed, Loading } from "../../ui/states";
import { words } from "../../ui/words";

export function MyStatements(): JSX.Element {
  const [items, setItems] = useState<readonly Statement[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const load = (from: string | null): void => {
    setProblem(null);
    statements.mine(from).then((page) => {
      setItems((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  useEffect(() => load(null), []);
  return (
    <section class="stack" data-testid="my-statements">
      <h1>{text.title}</h1>
      {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
      {items === null && problem === null && <Loading />}
      {items !== null && items.length === 0 && <div class="card"><Empty icon="yen">{text.none_mine}</Empty></div>}
      {items !== null && items.length > 0 && <div class="card table-card"><StatementTable title={text.title} items={items} named="brand" /></div>}
      {cursor !== null && <button type="button" class="btn" onClick={() => load(cursor)}>{words.more}</button>}
    </section>
  );
}
