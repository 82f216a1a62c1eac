import type { JSX } from "preact";
import { me } from "../../api/session";
import type { PageProps } from "../../ui/pages";
import { RoleGate } from "../../ui/RoleGate";
import { query } from "../../ui/router";
import { orders } from "./orders-texts";
import { OrdersView } from "./OrdersView";
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
  if (only !== undefined) return <Desk brandId={only} name={brands.find((brand) => brand.id === only)?.name ?? ""} />;
  return (
    <main id="main" class="page">
      <h1>{text.choose}</h1>
      <ul class="stack">{brands.map((brand) => <li key={brand.id}><a class="btn" href={`/brand/${brand.id}`}>{brand.name}</a></li>)}</ul>
    </main>
  );
}

/** Figures and orders; which of them stands in the address, so that it can be come back to. */
function Desk({ brandId, name }: { brandId: string; name: string }): JSX.Element {
  const shown = new URLSearchParams(query.value).get("view") === "orders" ? "orders" : "report";
  const link = (view: typeof shown, label: string): JSX.Element => (
    <a href={view === "report" ? `/brand/${brandId}` : `/brand/${brandId}?view=orders`} aria-current={view === shown ? "page" : undefined} data-testid={`view-${view}`}>{label}</a>
  );
  return (
    <main id="main" class="page brand-page" data-testid="brand-desk">
      <nav class="segments" aria-label={orders.tabs}>{link("report", orders.report)}{link("orders", orders.orders)}</nav>
      {shown === "report" ? <ReportView brandId={brandId} name={name} /> : <OrdersView brandId={brandId} />}
    </main>
  );
}
