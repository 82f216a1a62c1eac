import type { JSX } from "preact";
import type { TimelineMinute, TimelinePin } from "../../api/reports";
import { ChartBox } from "../../charts/ChartBox";
import { clockTime, count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { percent } from "../../reports/words-of";
import { text } from "../../reports/texts";
import { bandsOf, lanesOf, pinsIn, type Lane } from "../../reports/timeline";
import { line } from "./timeline-texts";

const SCALE_PX = 68;
const MINUTE_WIDTH_PX = 9;
const HEIGHT_PX = { sales: 280, talk: 130 };

interface TimelineChartProps {
  minutes: readonly TimelineMinute[];
  pins: readonly TimelinePin[];
  nowMs: number;
  picked: number | null;
  onPick: (place: number) => void;
}

/** Sales and viewers above, talk below, and between them what stood on stage: all on the same minutes. */
export function TimelineChart({ minutes, pins, nowMs, picked, onPick }: TimelineChartProps): JSX.Element {
  const labels = minutes.map((minute) => clockTime(minute.at_ms));
  const lanes = lanesOf(pins, minutes, nowMs);
  const bands = bandsOf(lanes, minutes.length);
  const place = Math.min(picked ?? 0, minutes.length - 1);
  const minute = minutes[place];
  return (
    <section class="card panel timeline">
      <h2>{line.chart}</h2>
      <p class="small muted tools">{line.chart_hint}</p>
      <div class="chart-scroller" tabIndex={0} role="region" aria-label={line.chart}>
        <div class="strips" style={{ minWidth: `${minutes.length * MINUTE_WIDTH_PX + 2 * SCALE_PX}px`, "--scale": `${SCALE_PX}px` }}>
          <ChartBox heightPx={HEIGHT_PX.sales} onPick={onPick} testId="timeline-sales" plot={{
            labels, bands, picked: place, scalePx: SCALE_PX, legendTop: true,
            series: [
              { label: line.viewers, values: minutes.map((one) => one.viewers_peak), look: "line", ink: "shu", side: "right", format: count },
              { label: line.sales, values: minutes.map((one) => one.gross_minor), look: "bar", ink: "indigo", format: (value) => money(value) },
            ],
          }} />
          <label class="pick-minute tools"><span class="sr">{line.slider}</span>
            <input type="range" min={0} max={Math.max(0, minutes.length - 1)} value={place} data-testid="minute-slider"
              aria-valuetext={minute === undefined ? "" : fill(line.at_minute, { time: clockTime(minute.at_ms), amount: money(minute.gross_minor), viewers: count(minute.viewers_peak) })}
              onInput={(event) => onPick(Number(event.currentTarget.value))} />
          </label>
          <Lanes lanes={lanes} nowMs={nowMs} />
          <ChartBox heightPx={HEIGHT_PX.talk} onPick={onPick} testId="timeline-talk" plot={{
            labels, bands, picked: place, scalePx: SCALE_PX,
            series: [
              { label: line.questions, values: minutes.map((one) => one.questions), look: "line", ink: "gold", side: "right", format: count },
              { label: line.chat, values: minutes.map((one) => one.chat), look: "area", ink: "moss", format: count },
            ],
          }} />
        </div>
      </div>
      {minute !== undefined && <Minute minute={minute} pins={pinsIn(pins, minute.at_ms, nowMs)} />}
    </section>
  );
}

/** When which product was on stage, under the bars of the same minutes. */
function Lanes({ lanes, nowMs }: { lanes: readonly Lane[]; nowMs: number }): JSX.Element | null {
  if (lanes.length === 0) return null;
  return (
    <ul class="lanes" aria-label={line.lanes}>{lanes.map((lane) => (
      <li key={lane.productId} class="lane">
        {lane.stretches.map(({ pin, left, width }) => (
          <span key={pin.pin_id} class={`stretch ${lane.ink}`} style={{ left: `${left}%`, width: `${width}%` }} data-testid="lane" data-pin={pin.pin_id}
            title={`${fill(line.stretch, { title: pin.title, from: clockTime(pin.from_ms), to: pin.to_ms === null ? "" : clockTime(pin.to_ms) })} CTR ${ctr(pin)}`}>
            <span class="name">{lane.title}</span><span class="sr"> {clockTime(pin.from_ms)}–{clockTime(pin.to_ms ?? nowMs)}</span>
            <span class="num"> CTR {ctr(pin)}</span>
          </span>
        ))}
      </li>
    ))}</ul>
  );
}

export function ctr(pin: Pick<TimelinePin, "ctr_bp">): string {
  return pin.ctr_bp === null ? text.suppressed : percent(pin.ctr_bp);
}

/** One minute in words; said again whenever another one is chosen. */
function Minute({ minute, pins }: { minute: TimelineMinute; pins: readonly TimelinePin[] }): JSX.Element {
  const one = (label: string, value: string): JSX.Element => <div key={label}><dt>{label}</dt><dd class="num">{value}</dd></div>;
  return (
    <div class="minute" role="status" data-testid="minute" data-at={minute.at_ms} data-gross={minute.gross_minor}>
      <p class="clock num">{clockTime(minute.at_ms)}</p>
      <dl>
        {one(line.sales, money(minute.gross_minor))}
        {one(line.orders, count(minute.orders))}
        {minute.cancelled_minor !== 0 && one(line.cancelled, money(minute.cancelled_minor))}
        {one(line.viewers, count(minute.viewers_peak))}
        {one(line.chat, count(minute.chat))}
        {one(line.questions, count(minute.questions))}
      </dl>
      <p class="small">{pins.length === 0 ? line.no_pin : <><span class="muted">{line.with_pin}</span> {pins.map((pin) => `${pin.title}（CTR ${ctr(pin)}）`).join("、")}</>}</p>
    </div>
  );
}
