import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { reports, type AudienceRow, type Timeline } from "../../api/reports";
import { clockTime, count, dateTime, duration, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { DAY_MS } from "../../reports/range";
import { bestMinute, everyMinute, pinsIn } from "../../reports/timeline";
import type { PageProps } from "../../ui/pages";
import { Icon } from "../../ui/icons";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { text } from "../../reports/texts";
import { AudienceBoard } from "./AudienceBoard";
import { BrandGate, brandName } from "./BrandGate";
import { Funnel } from "./Funnel";
import { MinuteTable } from "./MinuteTable";
import { PinBoard } from "./PinBoard";
import { TimelineChart } from "./TimelineChart";
import { line } from "./timeline-texts";
import { Versus } from "./Versus";
import "../../reports/reports.css";
import "./timeline.css";

const REFRESH_MS = 5_000;
/** How far back earlier lives are looked for. */
const EARLIER_DAYS = 90;

export function TimelinePage({ id, sub }: PageProps): JSX.Element {
  return <BrandGate id={id}><Page brandId={id} liveId={sub} /></BrandGate>;
}

function Page({ brandId, liveId }: { brandId: string; liveId: string }): JSX.Element {
  const [over, setOver] = useState(false);
  const { value, problem, reload } = useLoad(() => reports.timeline(brandId, liveId), [brandId, liveId, over], over ? 0 : REFRESH_MS);
  const began = value?.started_at_ms ?? null;
  const ended = value !== null && value.ended_at_ms !== null;
  useEffect(() => { if (ended) setOver(true); }, [ended]);
  const audience = useLoad(
    () => (began === null ? Promise.resolve([]) : reports.audience(brandId, { from_ms: began - EARLIER_DAYS * DAY_MS, to_ms: Date.now() + DAY_MS })),
    [brandId, liveId, began], over ? 0 : REFRESH_MS * 3,
  );
  return (
    <main id="main" class="page timeline-page reports" data-testid="timeline-page">
      <p><a class="small" href={`/brand/${brandId}?view=lives`} data-testid="back-to-lives">← {line.back}</a></p>
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && <Story brandId={brandId} timeline={value} audience={audience.value ?? []} />}
    </main>
  );
}

function Story({ brandId, timeline, audience }: { brandId: string; timeline: Timeline; audience: readonly AudienceRow[] }): JSX.Element {
  // What was on stage at the end was so until then.
  const now = timeline.ended_at_ms ?? Date.now();
  const minutes = everyMinute(timeline, now);
  const best = bestMinute(minutes);
  const [picked, setPicked] = useState<number | null>(null);
  const mine = audience.find((row) => row.live_id === timeline.live_id);
  const earlier = audience.filter((row) => row.live_id !== timeline.live_id && (row.started_at_ms ?? 0) < (timeline.started_at_ms ?? 0));
  return (
    <>
      <div class="row wrap spread head">
        <div>
          <p class="muted">{line.kicker}{brandName(brandId) !== "" && ` ・ ${brandName(brandId)}`}</p>
          <h1 data-testid="timeline-title">{timeline.title}</h1>
          {timeline.started_at_ms !== null && (
            <p class="muted num">{dateTime(timeline.started_at_ms)}{timeline.ended_at_ms !== null && ` ・ ${duration((timeline.ended_at_ms - timeline.started_at_ms) / 1000)}`}</p>
          )}
        </div>
        <p class="row tools"><button type="button" class="btn small" onClick={() => print()}><Icon name="print" />{text.print}</button></p>
      </div>
      {minutes.length === 0 ? <div class="card"><Empty icon="chart">{line.none}</Empty></div> : (
        <>
          <div class="stage-heads">
            <Best timeline={timeline} place={best} minutes={minutes} nowMs={now} onShow={() => setPicked(best)} />
            <Sum timeline={timeline} />
            <Funnel audience={mine} pins={timeline.pins} />
          </div>
          <TimelineChart minutes={minutes} pins={timeline.pins} nowMs={now} picked={picked ?? best} onPick={setPicked} />
          <PinBoard pins={timeline.pins} nowMs={now} over={timeline.ended_at_ms !== null} />
          <Versus mine={mine} earlier={earlier} />
          {earlier.length > 0 && <AudienceBoard brandId={brandId} rows={mine === undefined ? earlier : [mine, ...earlier]} current={timeline.live_id} />}
          <MinuteTable minutes={minutes} />
        </>
      )}
    </>
  );
}

interface BestProps {
  timeline: Timeline;
  place: number | null;
  minutes: ReturnType<typeof everyMinute>;
  nowMs: number;
  onShow: () => void;
}

/** The answer that the page is for. */
function Best({ timeline, place, minutes, nowMs, onShow }: BestProps): JSX.Element {
  const minute = place === null ? undefined : minutes[place];
  const pins = minute === undefined ? [] : pinsIn(timeline.pins, minute.at_ms, nowMs);
  return (
    <section class="card head-card best" aria-labelledby="best-title" data-testid="best-minute" data-at={minute?.at_ms ?? ""} data-gross={minute?.gross_minor ?? 0}>
      <h2 id="best-title" class="head-label">{line.best}</h2>
      {minute === undefined ? <p class="muted">{line.best_none}</p> : (
        <>
          <p class="clock num">{clockTime(minute.at_ms)}</p>
          <p class="num"><strong>{fill(line.best_of, { amount: money(minute.gross_minor), n: count(minute.orders) })}</strong></p>
          <p class="small">{pins.length === 0 ? line.no_pin : <><span class="muted">{line.with_pin}</span> {[...new Set(pins.map((pin) => pin.title))].join("、")}</>}</p>
          <p><button type="button" class="btn small" onClick={onShow}>{line.show}</button></p>
        </>
      )}
    </section>
  );
}

function Sum({ timeline: { totals } }: { timeline: Timeline }): JSX.Element {
  const one = (label: string, value: string, testId: string, minor: number, big: boolean): JSX.Element => (
    <div class={big ? "big" : ""}><dt class="small muted">{label}</dt><dd class="num" data-testid={testId} data-value={minor}>{value}</dd></div>
  );
  return (
    <dl class="card head-card sum">
      {one(text.gross, money(totals.gross_minor), "sum-gross", totals.gross_minor, true)}
      {one(text.net, money(totals.net_minor), "sum-net", totals.net_minor, true)}
      {one(text.orders, count(totals.orders), "sum-orders", totals.orders, false)}
      {one(text.units, count(totals.units), "sum-units", totals.units, false)}
      {one(text.aov, money(totals.aov_minor), "sum-aov", totals.aov_minor, false)}
    </dl>
  );
}
