import type { ComponentType } from "preact";

export interface PageProps {
  /** What the path names (a live, a brand); empty for a list. */
  id: string;
  /** What it names below that (a live of a brand). */
  sub: string;
}

type Load = () => Promise<ComponentType<PageProps>>;

/** Each page is its own chunk: who watches does not carry the studio. */
const PAGES: { name: string; pattern: RegExp; load: Load }[] = [
  { name: "lives", pattern: /^\/$/, load: async () => (await import("../pages/lives/LivesPage")).LivesPage },
  { name: "watch", pattern: /^\/watch\/([^/]+)\/?$/, load: async () => (await import("../pages/watch/WatchPage")).WatchPage },
  { name: "studio", pattern: /^\/studio\/?$/, load: async () => (await import("../pages/studio/StudioListPage")).StudioListPage },
  { name: "studio-live", pattern: /^\/studio\/([^/]+)\/?$/, load: async () => (await import("../pages/studio/StudioPage")).StudioPage },
  { name: "brand", pattern: /^\/brand(?:\/([^/]+))?\/?$/, load: async () => (await import("../pages/brand/BrandPage")).BrandPage },
  { name: "timeline", pattern: /^\/brand\/([^/]+)\/lives\/([^/]+)\/?$/, load: async () => (await import("../pages/brand/TimelinePage")).TimelinePage },
  { name: "why", pattern: /^\/brand\/([^/]+)\/lines\/([^/]+)\/?$/, load: async () => (await import("../pages/brand/WhyPage")).WhyPage },
  { name: "sign-in", pattern: /^\/sign-in\/?$/, load: async () => (await import("../pages/sign-in/SignInPage")).SignInPage },
  { name: "orders", pattern: /^\/orders\/?$/, load: async () => (await import("../pages/orders/OrdersPage")).OrdersPage },
  { name: "order", pattern: /^\/orders\/([^/]+)\/?$/, load: async () => (await import("../pages/orders/OrderPage")).OrderPage },
  { name: "invoice", pattern: /^\/orders\/([^/]+)\/invoice\/?$/, load: async () => (await import("../pages/invoice/InvoicePage")).InvoicePage },
  { name: "purchase", pattern: /^\/purchases\/([^/]+)\/?$/, load: async () => (await import("../pages/orders/PurchasePage")).PurchasePage },
  { name: "cards", pattern: /^\/cards\/?$/, load: async () => (await import("../pages/cards/CardsPage")).CardsPage },
  { name: "sandbox-action", pattern: /^\/sandbox\/action\/?$/, load: async () => (await import("../pages/sandbox/ActionPage")).ActionPage },
  { name: "admin-money", pattern: /^\/admin\/money\/?$/, load: async () => (await import("../pages/admin/MoneyPage")).MoneyPage },
  { name: "contract", pattern: /^\/contracts\/([^/]+)\/?$/, load: async () => (await import("../pages/contract/ContractPage")).ContractPage },
  { name: "statement", pattern: /^\/statements\/([^/]+)\/?$/, load: async () => (await import("../pages/statement/StatementPage")).StatementPage },
  { name: "earnings", pattern: /^\/earnings\/?$/, load: async () => (await import("../pages/earnings/EarningsPage")).EarningsPage },
  { name: "staff", pattern: /^\/staff\/?$/, load: async () => (await import("../pages/staff/StaffPage")).StaffPage },
  { name: "consents", pattern: /^\/consents\/?$/, load: async () => (await import("../pages/consents/ConsentsPage")).ConsentsPage },
  { name: "admin-reports", pattern: /^\/admin\/reports\/?$/, load: async () => (await import("../pages/admin/ReportsPage")).ReportsPage },
  { name: "docs", pattern: /^\/docs\/?$/, load: async () => (await import("../pages/docs/DocsPage")).DocsPage },
];

export interface MatchedPage extends PageProps {
  name: string;
  load: Load;
}

export function matchPage(pathname: string): MatchedPage | null {
  for (const page of PAGES) {
    const match = page.pattern.exec(pathname);
    if (match === null) continue;
    try {
      return { name: page.name, id: decodeURIComponent(match[1] ?? ""), sub: decodeURIComponent(match[2] ?? ""), load: page.load };
    } catch {
      // A path with a broken escape names nothing.
      return null;
    }
  }
  return null;
}
