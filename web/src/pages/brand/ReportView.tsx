import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import type { Report, ReportRow } from "../../api/types";
import { fullDateTime } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { Chart } from "./Chart";
import { ImportPanel } from "./ImportPanel";
import { LinesSheet } from "./LinesSheet";
import { period, PERIODS, type PeriodName } from "./period";
import { RowsTable } from "./RowsTable";
import { ShortagesPanel } from "./ShortagesPanel";
import { text } from "./texts";
import { Totals } from "./Totals";

const REFRESH_MS = 4_000;

export function ReportView({ brandId, name }: { brandId: string; name: string }): JSX.Element {
  const [chosen, setChosen] = useState<PeriodName>("today");
  const [row, setRow] = useState<ReportRow | null>(null);
  const range = (): Record<string, number | null> => {
    const { fromMs, toMs } = period(chosen, Date.now());
    return { from_ms: fromMs, to_ms: toMs };
  };
  const { value, problem, reload } = useLoad(
    () => api.get<Report>(withQuery(`/v1/brands/${seg(brandId)}/report`, range())), [brandId, chosen], REFRESH_MS,
  );
  return (
    <div class="brand-report" data-testid="brand-report">
      <div class="row wrap spread head">
        <div>
          <p class="muted" data-testid="brand-name">{name}</p>
          <h1>{text.title}</h1>
        </div>
        <div class="row wrap">
          <div class="segments" role="group" aria-label={text.period}>
            {PERIODS.map((option) => (
              <button key={option} type="button" aria-pressed={option === chosen} data-testid={`period-${option}`} onClick={() => setChosen(option)}>{text[option]}</button>
            ))}
          </div>
          <a class="btn small" href={withQuery(`/v1/brands/${seg(brandId)}/report.csv`, range())} download data-testid="csv">{text.csv}</a>
        </div>
      </div>
      <ShortagesPanel />
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && (
        <>
          <Totals report={value} />
          {value.rows.length === 0 ? <div class="card"><Empty icon="chart">{text.none}</Empty></div> : (
            <>
              <Chart rows={value.rows} currency={value.currency} />
              <RowsTable report={value} onOpen={setRow} />
            </>
          )}
          <section class="card panel definitions" aria-label={text.definitions}>
            <h2>{text.definitions}</h2>
            <dl>{value.definitions.map((definition) => (
              <div key={definition.name} data-testid="definition"><dt>{nameOf(definition.name)}</dt><dd>{language.value === "ja" ? definition.ja : definition.en}</dd></div>
            ))}</dl>
            <p class="small muted">{text.zone}</p>
          </section>
          <p class="small muted num" role="status" data-testid="as-of">{fill(text.as_of, { at: fullDateTime(value.as_of_ms) })}</p>
        </>
      )}
      <ImportPanel brandId={brandId} />
      {row !== null && <LinesSheet brandId={brandId} row={row} range={range()} onClose={() => setRow(null)} />}
    </div>
  );
}

/** The server's name of a figure, as this page calls it. */
function nameOf(name: string): string {
  switch (name.replace(/_minor$/, "")) {
    case "orders": return text.orders;
    case "units": return text.units;
    case "gross": return text.gross;
    case "cancelled": return text.cancelled;
    case "net": return text.net;
    case "commission": return text.commission;
    default: return name;
  }
}
