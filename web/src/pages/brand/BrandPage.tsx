import type { JSX } from "preact";
import { me } from "../../api/session";
import type { PageProps } from "../../ui/pages";
import { RoleGate } from "../../ui/RoleGate";
import { ReportView } from "./ReportView";
import { text } from "./texts";
import "../studio/studio.css";
import "./brand.css";

export function BrandPage({ id }: PageProps): JSX.Element {
  return (
    <RoleGate title={text.gate_title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="brand"
      allows={(person) => person.brands.length > 0 || (person.operator && id !== "")}>
      <Chosen id={id} />
    </RoleGate>
  );
}

function Chosen({ id }: { id: string }): JSX.Element {
  const brands = me.value?.brands ?? [];
  const only = id !== "" ? id : brands.length === 1 ? brands[0]?.id : undefined;
  if (only !== undefined) return <ReportView brandId={only} name={brands.find((brand) => brand.id === only)?.name ?? ""} />;
  return (
    <main id="main" class="page">
      <h1>{text.choose}</h1>
      <ul class="stack">{brands.map((brand) => <li key={brand.id}><a class="btn" href={`/brand/${brand.id}`}>{brand.name}</a></li>)}</ul>
    </main>
  );
}
