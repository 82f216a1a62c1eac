import type { JSX } from "preact";
import type { TimelinePin } from "../../api/reports";
import { clockTime, count, duration, money } from "../../i18n/format";
import { shareOf } from "../../reports/figures";
import { Meaning } from "../../reports/Meaning";
import { text } from "../../reports/texts";
import { Empty } from "../../ui/states";
import { line } from "./timeline-texts";
import { ctr } from "./TimelineChart";

/** Each time on stage, by what it sold: who saw it, who tapped, who bought. */
export function PinBoard({ pins, nowMs, over }: { pins: readonly TimelinePin[]; nowMs: number; over: boolean }): JSX.Element {
  const ordered = [...pins].sort((a, b) => b.gross_minor - a.gross_minor || a.from_ms - b.from_ms);
  const highest = Math.max(1, ...pins.map((pin) => pin.gross_minor));
  const highestCtr = Math.max(1, ...pins.map((pin) => pin.ctr_bp ?? 0));
  const people = (value: number | null): JSX.Element | string => (value === null ? <span class="few">{text.suppressed}</span> : count(value));
  return (
    <section class="card table-card" data-testid="pin-board">
      <h2>{line.pins}</h2>
      {pins.length === 0 ? <Empty icon="pin">{line.no_pins}</Empty> : (
        <div class="scroller" tabIndex={0} role="region" aria-label={line.pins}>
          <table class="num figures-table">
            <thead><tr>
              <th scope="col">{line.pin}</th>
              <th scope="col">{line.pin_sales}</th><th scope="col">{line.pin_orders}</th>
              <th scope="col">{line.ctr}<Meaning figure={line.ctr} means={line.means_ctr} /></th>
              <th scope="col">{line.shown}<Meaning figure={line.shown} means={line.means_shown} /></th>
              <th scope="col">{line.clickers}</th>
            </tr></thead>
            <tbody>{ordered.map((pin, index) => (
              <tr key={pin.pin_id} data-testid="pin-row" data-pin={pin.pin_id} data-gross={pin.gross_minor}>
                <th scope="row"><span class="named">
                  <span class={index < 3 ? `rank top-${index + 1}` : "rank"}><span class="sr">{text.rank} </span>{index + 1}</span>
                  <span class="grow">{pin.title}<span class="small muted sub num">{clockTime(pin.from_ms)}–{pin.to_ms === null && !over ? line.still : clockTime(pin.to_ms ?? nowMs)} ・ {duration(((pin.to_ms ?? nowMs) - pin.from_ms) / 1000)}</span></span>
                </span></th>
                <td data-label={line.pin_sales} class="net"><span class="meter" aria-hidden="true"><span style={{ width: `${shareOf(pin.gross_minor, highest)}%` }} /></span><span class="said">{money(pin.gross_minor)}</span></td>
                <td data-label={line.pin_orders}>{count(pin.orders)}</td>
                <td data-label={line.ctr} class="ctr">{pin.ctr_bp !== null && <span class="meter shu" aria-hidden="true"><span style={{ width: `${shareOf(pin.ctr_bp, highestCtr)}%` }} /></span>}{pin.ctr_bp === null ? <span class="few">{text.suppressed}</span> : ctr(pin)}</td>
                <td data-label={line.shown}>{people(pin.shown_to)}</td>
                <td data-label={line.clickers}>{people(pin.clickers)}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}
