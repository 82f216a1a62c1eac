import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Contract, Side } from "../api/settlement";
import type { Page } from "../api/types";
import { Empty, Failed, Loading } from "../ui/states";
import { words } from "../ui/words";
import { ContractCard } from "./ContractCard";
import { contract as text } from "./contract-texts";
import "./settlement.css";

interface ContractListProps {
  load: (cursor: string | null) => Promise<Page<Contract>>;
  /** Who reads it; the other one gives each contract its title. */
  side: Side;
}

export function ContractList({ load, side }: ContractListProps): JSX.Element {
  const [items, setItems] = useState<readonly Contract[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const more = (from: string | null): void => {
    setProblem(null);
    load(from).then((page) => {
      setItems((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  useEffect(() => more(null), []);
  return (
    <>
      {problem !== null && <Failed problem={problem} onRetry={() => more(cursor)} />}
      {items === null && problem === null && <Loading />}
      {items !== null && items.length === 0 && <div class="card"><Empty icon="lantern">{side === "brand" ? text.none_brand : text.none_liver}</Empty></div>}
      {items !== null && items.length > 0 && <ul class="stack">{items.map((one) => <li key={one.contract_id}><ContractCard of={one} titled={side === "brand" ? "liver" : "brand"} /></li>)}</ul>}
      {cursor !== null && <button type="button" class="btn" onClick={() => more(cursor)}>{words.more}</button>}
    </>
  );
}
