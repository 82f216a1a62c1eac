import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Report } from "../api/reports";
import { ChartBox } from "../charts/ChartBox";
import type { Series } from "../charts/plot";
import { along, type FigureName } from "./figures";
import { text } from "./texts";
import { dayLabel, hourLabel, shown } from "./words-of";

const CHOICES: readonly FigureName[] = ["net", "orders", "aov", "units", "commission"];
const HEIGHT_PX = 260;

interface TimeChartProps {
  report: Report;
  previous: Report | null;
  /** Days, or hours of one day. */
  places: readonly string[];
  previousPlaces: readonly string[];
  hourly: boolean;
}

/** One figure over time, and dotted behind it the same of the period before. Net sales never come without GMV. */
export function TimeChart({ report, previous, places, previousPlaces, hourly }: TimeChartProps): JSX.Element {
  const [figure, setFigure] = useState<FigureName>("net");
  const label = (place: string): string => (hourly ? hourLabel(place) : dayLabel(place));
  const format = (value: number): string => shown(figure, value, report.currency);
  const series: Series[] = [{ label: text[figure], values: along(places, report, figure), look: hourly ? "bar" : "area", ink: "indigo", format }];
  if (figure === "net") series.push({ label: text.gross, values: along(places, report, "gross"), look: "line", ink: "moss", format });
  if (previous !== null) series.push({ label: figure === "net" ? text.previous_net : `${text[figure]} (${text.before.replace(/\s?\{value\}/, "").replace(/:$/, "")})`, values: along(previousPlaces, previous, figure), look: "dots", ink: "ink-2", format });
  return (
    <section class="card panel time-chart" aria-labelledby="time-title">
      <div class="row wrap spread">
        <h2 id="time-title">{text.over_time}<span class="small muted"> {hourly ? text.over_hour : text.over_day}</span></h2>
        <select class="input pick" aria-label={text.pick_figure} value={figure} data-testid="chart-figure" onChange={(event) => setFigure(event.currentTarget.value as FigureName)}>
          {CHOICES.map((name) => <option key={name} value={name}>{text[name]}</option>)}
        </select>
      </div>
      <ChartBox plot={{ labels: places.map(label), series }} heightPx={HEIGHT_PX} testId="time-chart" />
      <details class="as-table">
        <summary>{text.as_table}</summary>
        <div class="scroller" tabIndex={0} role="region" aria-label={text.over_time}>
          <table class="num plain">
            <thead><tr><th scope="col">{hourly ? text.hour : text.day}</th>{series.map((one) => <th key={one.label} scope="col">{one.label}</th>)}</tr></thead>
            <tbody>{places.map((place, index) => (
              <tr key={place}><th scope="row">{label(place)}</th>{series.map((one) => <td key={one.label}>{format(one.values[index] ?? 0)}</td>)}</tr>
            ))}</tbody>
          </table>
        </div>
      </details>
    </section>
  );
}
