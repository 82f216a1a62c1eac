import type { Chart as ChartJs } from "chart.js";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ReportRow } from "../../api/types";
import { money } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { text } from "./texts";

const BARS_MAX = 8;

interface ChartProps {
  rows: readonly ReportRow[];
  currency: string;
}

/** Net and cancelled sales of the strongest lives. The table below says the same to who cannot see it. */
export function Chart({ rows, currency }: ChartProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const chart = useRef<ChartJs | null>(null);
  const shown = [...rows].sort((a, b) => b.net_minor - a.net_minor).slice(0, BARS_MAX);
  const latest = useRef(shown);
  latest.current = shown;
  const content = JSON.stringify(shown.map((row) => [row.live_title, row.net_minor, row.cancelled_minor]));

  useEffect(() => {
    let wanted = true;
    void import("./bars").then(({ drawBars }) => {
      if (!wanted || canvas.current === null) return;
      chart.current?.destroy();
      chart.current = drawBars(canvas.current, {
        labels: latest.current.map((row) => row.live_title),
        net: { label: text.net, values: latest.current.map((row) => row.net_minor) },
        cancelled: { label: text.cancelled, values: latest.current.map((row) => Math.abs(row.cancelled_minor)) },
        format: (value) => money(value, currency),
      });
    });
    return () => { wanted = false; };
  }, [content, currency, language.value]);
  useEffect(() => () => chart.current?.destroy(), []);

  return (
    <section class="card panel" aria-label={text.chart}>
      <h2>{text.chart}</h2>
      <div class="chart" style={{ height: `${90 + shown.length * 46}px` }}><canvas ref={canvas} aria-hidden="true" data-testid="chart" /></div>
      {rows.length > BARS_MAX && <p class="small muted">{fill(text.chart_more, { n: rows.length - BARS_MAX })}</p>}
    </section>
  );
}
