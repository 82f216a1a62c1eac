import type { JSX } from "preact";
import { ReportView } from "../../reports/ReportView";
import { RoleGate } from "../../ui/RoleGate";
import { AdminTabs } from "./AdminTabs";
import { text } from "./texts";

/** The same figures across all brands. */
export function ReportsPage(): JSX.Element {
  return (
    <RoleGate title={text.reports} lead={text.gate_lead} wrongRole={text.gate_wrong} role="operator" allows={(me) => me.operator}>
      <main id="main" class="page" data-testid="admin-reports-page">
        <AdminTabs shown="reports" />
        <ReportView scope="all" name={text.all_brands} />
      </main>
    </RoleGate>
  );
}
