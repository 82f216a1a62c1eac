import type { JSX } from "preact";
import type { Report, ReportFigures } from "../../api/types";
import { count, money } from "../../i18n/format";
import { language } from "../../i18n/language";
import { text } from "./texts";

const FIGURES: { name: keyof ReportFigures; label: "orders" | "units" | "gross" | "cancelled" | "net" | "commission" }[] = [
  { name: "net_minor", label: "net" }, { name: "gross_minor", label: "gross" }, { name: "cancelled_minor", label: "cancelled" },
  { name: "commission_minor", label: "commission" }, { name: "orders", label: "orders" }, { name: "units", label: "units" },
];

/** Each figure with its definition beside it: a number nobody can define is none. */
export function Totals({ report }: { report: Report }): JSX.Element {
  const definition = (name: string): string | undefined => {
    const found = report.definitions.find((entry) => entry.name === name || `${entry.name}_minor` === name);
    return found === undefined ? undefined : language.value === "ja" ? found.ja : found.en;
  };
  return (
    <dl class="totals">
      {FIGURES.map(({ name, label }) => {
        const value = report.totals[name];
        const isMoney = name.endsWith("_minor");
        const means = definition(name);
        return (
          <div key={name} class={`card total ${label}`}>
            <dt class="small muted">{text[label]}</dt>
            <dd class="num" data-testid={`total-${label}`} data-value={value}>{isMoney ? money(value, report.currency) : count(value)}</dd>
            {means !== undefined && <dd class="means">{means}</dd>}
          </div>
        );
      })}
    </dl>
  );
}
