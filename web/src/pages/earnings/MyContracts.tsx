import type { JSX } from "preact";
import { contracts } from "../../api/settlement";
import { ContractList } from "../../settlement/ContractList";
import { contract as text } from "../../settlement/contract-texts";

export function MyContracts(): JSX.Element {
  return (
    <section class="stack" aria-labelledby="contracts-title" data-testid="my-contracts">
      <h1 id="contracts-title">{text.title}</h1>
      <p class="muted">{text.lead_liver}</p>
      <ContractList side="liver" load={contracts.mine} />
    </section>
  );
}
