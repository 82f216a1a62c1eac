import type { JSX } from "preact";
import type { PageProps } from "../../ui/pages";
import { Why } from "../../reports/Why";
import { why } from "../../reports/why-texts";
import { BrandGate } from "./BrandGate";
import "../../reports/reports.css";

/** The same words as in the sheet of the ledger lines, with an address of their own. */
export function WhyPage({ id, sub }: PageProps): JSX.Element {
  return (
    <BrandGate id={id}>
      <main id="main" class="page why-page" data-testid="why-page">
        <p><a class="small" href={`/brand/${id}`}>← {why.back}</a></p>
        <h1>{why.title}</h1>
        <div class="card panel lines"><Why brandId={id} lineId={sub} /></div>
      </main>
    </BrandGate>
  );
}
