import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Query } from "../api/client";
import { DIMENSIONS, reports, type AudienceRow, type Dimension, type ReportRow, type Scope } from "../api/reports";
import { fullDateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { query, setQuery } from "../ui/router";
import { Empty, Failed, Loading } from "../ui/states";
import { useLoad } from "../ui/useLoad";
import { useShown } from "../ui/useShown";
import { conversionOf, conversionSums } from "./figures";
import { FilterChips } from "./FilterChips";
import { FilesPanel } from "./FilesPanel";
import { files } from "./files-texts";
import { asked, FILTER_NAMES, FILTERS, isFilter, questionOf, type Filters } from "./filters";
import { HeadFigures, type Conversion } from "./HeadFigures";
import { LeaderBoard } from "./LeaderBoard";
import { LinesSheet } from "./LinesSheet";
import { boundsOf, dayOf, daysOf, HOURS, previousOf, startOf, addDays, type Range } from "./range";
import { RangePicker, rangeWords } from "./RangePicker";
import { text } from "./texts";
import { TimeChart } from "./TimeChart";
import { rowLabel } from "./words-of";
import "./reports.css";

const REFRESH_MS = 4_000;

/** The figures of some days: first the sum and its change, then their course, then what they are made of. */
export function ReportView({ scope, name }: { scope: Scope; name: string }): JSX.Element {
  const { range, by, filters } = asked(query.value, Date.now(), scope === "all");
  const [open, setOpen] = useState<{ label: string; question: Query } | null>(null);
  const question = questionOf({ range, filters });
  const whose = scope === "all" ? "all" : scope.brandId;
  const keys = [whose, JSON.stringify(question)];
  // What is over does not change by the second; a return may still change it, and is seen with the next visit.
  const every = range.to >= dayOf(Date.now()) ? REFRESH_MS : 0;
  const hourly = range.from === range.to;
  const step: Dimension = hourly ? "hour" : "day";
  const bounds = { from_ms: question["from_ms"], to_ms: question["to_ms"] };
  const before = previousOf(boundsOf(range));

  const head = useLoad(() => reports.by(scope, step, { ...question, compare: "previous" }), keys, every);
  const earlier = useLoad(() => reports.by(scope, step, { ...question, from_ms: before.fromMs, to_ms: before.toMs }), keys);
  const board = useLoad(() => reports.by(scope, by, question), [...keys, by], every);
  const audience = useLoad(() => (scope === "all" || !isOfLives(filters) ? Promise.resolve(null) : reports.audience(scope.brandId, bounds)), keys, every * 4);

  const places = hourly ? HOURS : daysOf(range);
  const empty = head.value !== null && head.value.totals.orders === 0 && head.value.totals.gross_minor === 0 && head.value.totals.cancelled_minor === 0;
  const drill = (row: ReportRow): (() => void) | null => {
    const asks = drillQuestion(question, by, row);
    return asks === null ? null : () => setOpen({ label: `${rowLabel(by, row)} ・ ${rangeWords(range)}`, question: asks });
  };
  return (
    <div class="reports" data-testid="brand-report">
      <div class="row wrap spread head">
        <div>
          <p class="muted" data-testid="brand-name">{name}</p>
          <h1>{text.title}</h1>
          <p class="print-only">{rangeWords(range)}</p>
        </div>
        <div class="row wrap tools">
          {scope !== "all" && <a class="btn small" href="#files-title" data-testid="to-files"><Icon name="file" />{files.title}</a>}
          {scope !== "all" && <a class="btn small" href={reports.csvPath(scope.brandId, question)} aria-label={text.csv_label} download data-testid="csv">{text.csv}</a>}
          <button type="button" class="btn small" data-testid="print" onClick={() => print()}><Icon name="print" />{text.print}</button>
        </div>
      </div>
      <RangePicker range={range} />
      <FilterChips scope={scope} filters={filters} />
      {head.problem !== null && <Failed problem={head.problem} onRetry={head.reload} />}
      {head.value === null && head.problem === null && <Loading />}
      {head.value !== null && (
        <>
          <HeadFigures report={head.value} series={head.value} places={places} conversion={conversionIn(audience.value, filters.live)} />
          {empty
            ? <div class="card"><Empty icon="chart">{Object.keys(filters).length === 0 ? text.none : text.none_filtered}</Empty></div>
            : <TimeChart report={head.value} previous={earlier.value} places={places} previousPlaces={previousPlaces(range, hourly)} hourly={hourly} />}
        </>
      )}
      <Dimensions all={scope === "all"} by={by} />
      {board.problem !== null && <Failed problem={board.problem} onRetry={board.reload} />}
      {board.value === null && board.problem === null && <Loading />}
      {board.value !== null && (board.value.rows.length === 0
        ? !empty && <div class="card"><Empty icon="chart">{text.none_filtered}</Empty></div>
        : <LeaderBoard key={by} scope={scope} by={by} report={board.value} onLines={scope === "all" ? null : drill} />)}
      {scope !== "all" && <FilesPanel brandId={scope.brandId} by={by} question={question} />}
      {head.value !== null && <p class="small muted num" role="status" data-testid="as-of">{fill(text.as_of, { at: fullDateTime(head.value.as_of_ms) })} {text.zone}</p>}
      {open !== null && scope !== "all" && <LinesSheet brandId={scope.brandId} label={open.label} question={open.question} onClose={() => setOpen(null)} />}
    </div>
  );
}

function Dimensions({ all, by }: { all: boolean; by: Dimension }): JSX.Element {
  const dimensions: readonly Dimension[] = all ? ["brand", ...DIMENSIONS] : DIMENSIONS;
  const row = useShown<HTMLDivElement>(by);
  return (
    <div ref={row} class="segments dimensions" role="group" aria-label={text.by}>
      {dimensions.map((dimension) => (
        <button key={dimension} type="button" aria-pressed={dimension === by} data-testid={`by-${dimension}`} onClick={() => setQuery({ by: dimension })}>{text[`by_${dimension}`]}</button>
      ))}
    </div>
  );
}

/** The lines of one row: its own days or hours, or what it is of. null where they cannot be asked for alone. */
export function drillQuestion(question: Record<string, string | number>, by: Dimension, row: Pick<ReportRow, "key">): Record<string, string | number> | null {
  if (by === "day") return { ...question, from_ms: startOf(row.key), to_ms: startOf(addDays(row.key, 1)) };
  if (by === "hour") return { ...question, hour: Number(row.key) };
  // What is of no store or campaign has no name.
  return isFilter(by) && row.key !== "" ? { ...question, [FILTERS[by]]: row.key } : null;
}

/** Viewers are of lives: narrowed to a product or a store, nobody knows who of them came for it. */
function isOfLives(filters: Filters): boolean {
  return FILTER_NAMES.every((name) => name === "live" || filters[name] === undefined);
}

function conversionIn(all: readonly AudienceRow[] | null, live: string | undefined): Conversion | null {
  if (all === null) return null;
  const rows = live === undefined ? all : all.filter((row) => row.live_id === live);
  return { bp: conversionOf(rows), ...conversionSums(rows) };
}

function previousPlaces(range: Range, hourly: boolean): readonly string[] {
  if (hourly) return HOURS;
  const { fromMs, toMs } = previousOf(boundsOf(range));
  return daysOf({ from: dayOf(fromMs), to: dayOf(toMs - 1) });
}

