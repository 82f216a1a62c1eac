import type { JSX } from "preact";
import type { TimelineMinute } from "../../api/reports";
import { clockTime, count, money } from "../../i18n/format";
import { line } from "./timeline-texts";

/** The picture as figures: for who cannot see it, and for who wants to copy them. */
export function MinuteTable({ minutes }: { minutes: readonly TimelineMinute[] }): JSX.Element {
  return (
    <details class="card panel as-table" data-testid="minute-table">
      <summary>{line.table}</summary>
      <div class="scroller" tabIndex={0} role="region" aria-label={line.table}>
        <table class="num plain">
          <thead><tr>{[line.minute, line.sales, line.cancelled, line.orders, line.units, line.viewers, line.average, line.chat, line.questions].map((heading) => <th key={heading} scope="col">{heading}</th>)}</tr></thead>
          <tbody>{minutes.map((minute) => (
            <tr key={minute.at_ms} data-testid="minute-row" data-gross={minute.gross_minor}>
              <th scope="row">{clockTime(minute.at_ms)}</th>
              <td>{money(minute.gross_minor)}</td><td>{money(minute.cancelled_minor)}</td><td>{count(minute.orders)}</td><td>{count(minute.units)}</td>
              <td>{count(minute.viewers_peak)}</td><td>{count(Math.round(minute.viewers_average_milli / 100) / 10)}</td><td>{count(minute.chat)}</td><td>{count(minute.questions)}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </details>
  );
}
