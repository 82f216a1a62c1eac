import type { JSX } from "preact";
import type { Figures, Report } from "../api/reports";
import { Spark } from "../charts/Spark";
import { count, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { along, changeOf, FIGURES, shareOf, valueOf, type FigureName } from "./figures";
import { Meaning } from "./Meaning";
import { text } from "./texts";
import { meaningOf, percent, shown } from "./words-of";

const SMALL: readonly FigureName[] = ["orders", "aov", "cancelled", "refund_rate", "commission"];
const SPARKS: readonly FigureName[] = ["orders", "aov", "refund_rate", "commission", "cancelled"];

/** Buyers of viewers; null until it is known. */
export interface Conversion {
  bp: number | null;
  buyers: number;
  viewers: number;
}

interface HeadProps {
  report: Report;
  /** The same by day or by hour. */
  series: Report | null;
  places: readonly string[];
  conversion: Conversion | null;
}

/** What comes first: GMV and net sales side by side, and how the rest compares with before. */
export function HeadFigures({ report, series, places, conversion }: HeadProps): JSX.Element {
  const { totals, previous } = report;
  return (
    <section class="heads" aria-label={text.figures}>
      <Pair report={report} />
      {SMALL.map((name) => (
        <Card key={name} name={name} report={report}>
          {SPARKS.includes(name) && <Spark values={along(places, series, name).map(Math.abs)} />}
        </Card>
      ))}
      {conversion !== null && (
        <div class="card head-card" data-testid="head-conversion" data-value={conversion.bp ?? ""}>
          <Label name="conversion" report={report} />
          <p class="value num">{conversion.bp === null ? "–" : percent(conversion.bp)}</p>
          <p class="small muted">{conversion.bp === null ? text.no_viewers : fill(text.conversion_of, { buyers: count(conversion.buyers), viewers: count(conversion.viewers) })}</p>
        </div>
      )}
      <div class="card head-card people" data-testid="head-buyers" data-value={totals.buyers ?? ""}>
        <Label name="buyers" report={report} />
        <p class="value num">{shown("buyers", totals.buyers)}<Delta name="buyers" now={totals} before={previous} currency={report.currency} /></p>
        <People totals={totals} report={report} />
      </div>
    </section>
  );
}

/** The two that are never shown without each other, and what lies between them. */
function Pair({ report }: { report: Report }): JSX.Element {
  const { totals, previous, currency } = report;
  const kept = shareOf(totals.net_minor, totals.gross_minor);
  const one = (name: "gross" | "net"): JSX.Element => (
    <div class={name}>
      <Label name={name} report={report} />
      <p class="value num" data-testid={`total-${name}`} data-value={valueOf(totals, name)}>{shown(name, valueOf(totals, name), currency)}</p>
      <Delta name={name} now={totals} before={previous} currency={currency} long />
    </div>
  );
  return (
    <div class="card head-card pair" role="group" aria-label={text.gmv_and_net} data-testid="head-pair">
      <div class="two">{one("gross")}{one("net")}</div>
      <div class="kept" aria-hidden="true"><span style={{ width: `${kept}%` }} /></div>
      <p class="row spread small muted num">
        <span>{text.net} {percent(Math.round(kept * 100))}</span>
        <span>{text.cancelled} {money(totals.cancelled_minor, currency)}</span>
      </p>
    </div>
  );
}

function Card({ name, report, children }: { name: FigureName; report: Report; children?: JSX.Element | false }): JSX.Element {
  const value = valueOf(report.totals, name);
  return (
    <div class={`card head-card ${name}`} data-testid={`head-${name}`} data-value={value ?? ""}>
      <Label name={name} report={report} />
      <p class="value num">{shown(name, value, report.currency)}</p>
      <Delta name={name} now={report.totals} before={report.previous} currency={report.currency} />
      {children}
    </div>
  );
}

function Label({ name, report }: { name: FigureName | "conversion"; report: Report }): JSX.Element {
  return <p class="head-label"><span>{text[name]}</span><Meaning figure={text[name]} means={meaningOf(name, report.definitions)} testId={`means-${name}`} /></p>;
}

/** New and returning people as one bar; nothing of it where one of them is too few to tell. */
function People({ totals, report }: { totals: Figures; report: Report }): JSX.Element {
  const { new_buyers: fresh, returning_buyers: again } = totals;
  const known = fresh !== null && again !== null && fresh + again > 0;
  return (
    <>
      {known && <div class="kept both" aria-hidden="true"><span style={{ width: `${shareOf(fresh, fresh + again)}%` }} /></div>}
      <dl class="row wrap small new-and-old">
        {(["new_buyers", "returning_buyers"] as const).map((name) => (
          <div key={name} class="row"><dt class={`split ${name}`}>{text[name]}<Meaning figure={text[name]} means={meaningOf(name, report.definitions)} /></dt><dd class="num">{shown(name, totals[name])}</dd></div>
        ))}
      </dl>
      {totals.buyers === null && <p class="small muted">{text.suppressed_why}</p>}
    </>
  );
}

interface DeltaProps {
  name: FigureName;
  now: Figures;
  before: Figures | null;
  currency: string;
  long?: boolean;
}

function Delta({ name, now, before, currency, long }: DeltaProps): JSX.Element | null {
  const change = changeOf(name, now, before);
  if (change === null || before === null) return null;
  const { changeBp } = change;
  const by = changeBp === null ? "" : count(Math.abs(Math.round(changeBp / 10) / 10));
  const word = changeBp === null ? text.fresh : changeBp === 0 ? text.same : fill(changeBp > 0 ? text.up : text.down, { n: by });
  const arrow = changeBp === null || changeBp === 0 ? "" : changeBp > 0 ? "▲ " : "▼ ";
  return (
    <p class={`delta small ${change.trend}`} data-testid={`delta-${name}`} data-bp={changeBp ?? ""}>
      <span><span aria-hidden="true">{arrow}</span>{word}</span>
      {long === true && changeBp !== null && FIGURES[name].kind === "money" && <span class="muted num">{fill(text.before, { value: shown(name, valueOf(before, name), currency) })}</span>}
    </p>
  );
}
