import type { JSX } from "preact";
import { me } from "../../api/session";
import { language } from "../../i18n/language";
import { ReportView } from "../../reports/ReportView";
import { lazily } from "../../ui/lazily";
import type { PageProps } from "../../ui/pages";
import { query } from "../../ui/router";
import { useShown } from "../../ui/useShown";
import { BrandGate, brandName } from "./BrandGate";
import { ShortagesPanel } from "./ShortagesPanel";
import { text } from "./texts";
import "../studio/studio.css";
import "./brand.css";

interface ViewProps {
  brandId: string;
}

const VIEWS = ["report", "lives", "contracts", "statements", "orders", "goods", "webhooks"] as const;
type View = (typeof VIEWS)[number];

/** Who reads figures does not carry the forms. */
const Lives = lazily<ViewProps>(async () => (await import("./LivesView")).LivesView);
const Contracts = lazily<ViewProps>(async () => (await import("./ContractsView")).ContractsView);
const Statements = lazily<ViewProps>(async () => (await import("./StatementsView")).StatementsView);
const Orders = lazily<ViewProps>(async () => (await import("./OrdersView")).OrdersView);
const Goods = lazily<ViewProps>(async () => (await import("./GoodsView")).GoodsView);
const Webhooks = lazily<ViewProps>(async () => (await import("./WebhooksView")).WebhooksView);

export function BrandPage({ id }: PageProps): JSX.Element {
  return <BrandGate id={id}><Chosen id={id} /></BrandGate>;
}

function Chosen({ id }: { id: string }): JSX.Element {
  const brands = me.value?.brands ?? [];
  const only = id !== "" ? id : brands.length === 1 ? brands[0]?.id : undefined;
  if (only !== undefined) return <Desk key={only} brandId={only} />;
  return (
    <main id="main" class="page">
      <h1>{text.choose}</h1>
      <ul class="stack">{brands.map((brand) => <li key={brand.id}><a class="btn" href={`/brand/${brand.id}`}>{brand.name}</a></li>)}</ul>
    </main>
  );
}

/** Which of its views is shown stands in the address, so that it can be come back to. */
function Desk({ brandId }: ViewProps): JSX.Element {
  const named = new URLSearchParams(query.value).get("view");
  const shown: View = VIEWS.find((view) => view === named) ?? "report";
  const tabs = useShown<HTMLElement>(`${shown} ${language.value}`);
  return (
    <main id="main" class="page brand-page" data-testid="brand-desk">
      <nav ref={tabs} class="segments" aria-label={text.tabs}>{VIEWS.map((view) => (
        <a key={view} href={view === "report" ? `/brand/${brandId}` : `/brand/${brandId}?view=${view}`} aria-current={view === shown ? "page" : undefined} data-testid={`view-${view}`}>{text[view]}</a>
      ))}</nav>
      {shown === "report" && <><ShortagesPanel /><ReportView scope={{ brandId }} name={brandName(brandId)} /></>}
      {shown === "lives" && <Lives brandId={brandId} />}
      {shown === "contracts" && <Contracts brandId={brandId} />}
      {shown === "statements" && <Statements brandId={brandId} />}
      {shown === "orders" && <Orders brandId={brandId} />}
      {shown === "goods" && <Goods brandId={brandId} />}
      {shown === "webhooks" && <Webhooks brandId={brandId} />}
    </main>
  );
}
