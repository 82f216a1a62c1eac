import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { language } from "../i18n/language";
import type { Drawn } from "./draw";
import type { Plot } from "./plot";
import { dark } from "./scheme";
import "./charts.css";

interface ChartBoxProps {
  plot: Plot;
  heightPx: number;
  /** Below it the chart is moved sideways instead of squeezed. */
  widthMinPx?: number;
  /** Of the box that is moved sideways. */
  label?: string;
  onPick?: (place: number) => void;
  testId?: string;
}

/** A picture of figures that stand in a table too: whoever cannot see it misses nothing. */
export function ChartBox({ plot, heightPx, widthMinPx, label, onPick, testId = "chart" }: ChartBoxProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef<Drawn | null>(null);
  const latest = useRef({ plot, onPick });
  latest.current = { plot, onPick };
  const content = JSON.stringify(plot);

  useEffect(() => {
    let wanted = true;
    void import("./draw").then(({ draw }) => {
      if (!wanted || canvas.current === null) return;
      drawn.current?.destroy();
      drawn.current = draw(canvas.current, latest.current.plot, (place) => latest.current.onPick?.(place));
    });
    return () => { wanted = false; };
  }, [content, language.value, dark.value]);
  useEffect(() => () => drawn.current?.destroy(), []);

  const box = (
    <div class="chart" style={{ height: `${heightPx}px`, minWidth: widthMinPx === undefined ? undefined : `${widthMinPx}px` }}>
      <canvas ref={canvas} aria-hidden="true" data-testid={testId} />
    </div>
  );
  return widthMinPx === undefined ? box : <div class="chart-scroller" tabIndex={0} role="region" aria-label={label}>{box}</div>;
}
