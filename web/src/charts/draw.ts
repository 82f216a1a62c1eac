/** The only file that knows the charting library; loaded when there is something to draw. */
import {
  BarController, BarElement, CategoryScale, Chart, Filler, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip,
  type ChartDataset, type ChartOptions, type Plugin,
} from "chart.js";
import type { Ink, Plot, Series } from "./plot";

Chart.register(BarController, BarElement, LineController, LineElement, PointElement, CategoryScale, LinearScale, Tooltip, Legend, Filler);

const WIDE_PX = 520;
/** About what the scales take beside the bars, and a letter of a name. */
const SCALES_PX = 120;
const LETTER_PX = 12;
const LETTERS_MAX = { wide: 16, narrow: 8 };

export interface Drawn {
  destroy: () => void;
}

/** One scale of several kinds, whose types cannot be told apart here. */
type ScaleOptions = NonNullable<ChartOptions["scales"]>[string];

type Colour = (name: Ink | "ink" | "line" | "surface", alpha?: number) => string;

/** Colours as the page has them at this moment. */
function palette(): Colour {
  const style = getComputedStyle(document.documentElement);
  return (name, alpha) => {
    const colour = style.getPropertyValue(`--${name}`).trim();
    // The house's colours are #rrggbb, which takes two digits more; the library mixes colours of its own from such.
    return alpha === undefined ? colour : `${colour}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
  };
}

function dataset(series: Series, colour: Colour, lying: boolean, order: number): ChartDataset<"bar" | "line", (number | null)[]> {
  const axis = lying ? {} : { yAxisID: series.side === "right" ? "right" : "left" };
  const shared = { label: series.label, data: [...series.values], order, ...axis };
  if (series.look === "bar") {
    return { ...shared, type: "bar", backgroundColor: colour(series.ink), borderRadius: 4, maxBarThickness: 26, categoryPercentage: 0.86, barPercentage: 0.9 };
  }
  const alone = series.values.filter((value) => value !== null).length === 1;
  return {
    ...shared, type: "line", borderColor: colour(series.ink), backgroundColor: colour(series.ink, 0.16), borderWidth: series.look === "dots" ? 1.6 : 2.4,
    borderDash: series.look === "dots" ? [5, 5] : [], fill: series.look === "area" ? "origin" : false, tension: 0.28, cubicInterpolationMode: "monotone",
    pointRadius: alone ? 4 : 0, pointHoverRadius: 5, pointBackgroundColor: colour(series.ink),
  };
}

/** Bands behind, and the place that is looked at. */
function marks(plot: Plot, colour: Colour): Plugin {
  return {
    id: "marks",
    beforeDatasetsDraw: ({ ctx, chartArea: area, scales }) => {
      const places = Math.max(1, plot.labels.length);
      const width = ((scales["x"]?.right ?? area.right) - (scales["x"]?.left ?? area.left)) / places;
      const paint = (from: number, to: number, fill: string): void => {
        const left = Math.max(area.left, area.left + from * width);
        const right = Math.min(area.right, area.left + to * width);
        if (right <= left) return;
        ctx.fillStyle = fill;
        ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
      };
      ctx.save();
      for (const band of plot.bands ?? []) paint(band.from, band.to, colour(band.ink, 0.1));
      if (plot.picked !== null && plot.picked !== undefined) paint(plot.picked, plot.picked + 1, colour("gold", 0.32));
      ctx.restore();
    },
  };
}

export function draw(canvas: HTMLCanvasElement, plot: Plot, onPick?: (place: number) => void): Drawn {
  const colour = palette();
  // A canvas has a size of its own until the chart gives it that of its box.
  const widthPx = (canvas.parentElement ?? canvas).clientWidth;
  const wide = widthPx >= WIDE_PX;
  const lying = plot.lying === true;
  const roomPx = Math.max(0, widthPx - SCALES_PX) / Math.max(1, plot.labels.length);
  const lettersMax = lying ? (wide ? LETTERS_MAX.wide : LETTERS_MAX.narrow) : Math.max(2, Math.floor(roomPx / LETTER_PX) - 1);
  const first = plot.series.find((series) => series.side !== "right");
  const second = plot.series.find((series) => series.side === "right");
  const shorten = (index: number): string => {
    const letters = [...(plot.labels[index] ?? "")];
    return letters.length > lettersMax ? `${letters.slice(0, lettersMax).join("")}…` : letters.join("");
  };
  const fixed = plot.scalePx === undefined ? {} : { afterFit: (scale: { width: number }) => { scale.width = plot.scalePx ?? 0; } };
  const places: ScaleOptions = {
    stacked: plot.stacked === true, grid: { display: false }, border: { color: colour("line") }, offset: true,
    ticks: {
      color: colour(lying ? "ink" : "ink-2"), maxRotation: 0, autoSkip: !lying && plot.shortLabels !== true, maxTicksLimit: plot.labelsMax ?? (wide ? 14 : 6),
      callback: (_: unknown, index: number) => (lying || plot.shortLabels === true ? shorten(index) : (plot.labels[index] ?? "")),
    },
  };
  const amounts = (series: Series | undefined, grid: boolean): ScaleOptions => ({
    stacked: plot.stacked === true, beginAtZero: true, border: { display: false }, grid: grid ? { color: colour("line") } : { display: false },
    suggestedMax: 1, grace: "6%",
    ticks: { color: colour("ink-2"), precision: 0, maxTicksLimit: wide || !lying ? 5 : 3, maxRotation: 0, callback: (value: string | number) => series?.format(Number(value)) ?? "" },
  });
  const scales = lying
    ? { x: amounts(first, true), y: places }
    : {
        x: places,
        left: { ...amounts(first, true), position: "left" as const, ...fixed },
        ...(second === undefined ? {} : { right: { ...amounts(second, false), position: "right" as const, ...fixed } }),
      };
  const options = {
    indexAxis: lying ? "y" : "x",
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    layout: { autoPadding: plot.scalePx === undefined },
    interaction: { mode: "index", intersect: false, axis: lying ? "y" : "x" },
    onClick: (_event: unknown, elements: { index: number }[]) => {
      const place = elements[0]?.index;
      if (place !== undefined) onPick?.(place);
    },
    scales,
    plugins: {
      legend: {
        display: plot.legend !== false && plot.series.length > 1, position: plot.legendTop === true ? "top" : "bottom",
        labels: { color: colour("ink"), boxWidth: 12, boxHeight: 12, useBorderRadius: true, borderRadius: 3 },
      },
      tooltip: {
        backgroundColor: colour("ink"), titleColor: colour("surface"), bodyColor: colour("surface"), padding: 10, cornerRadius: 10, boxPadding: 4,
        callbacks: { label: (item: { datasetIndex: number; raw: unknown }) => {
          const series = plot.series[item.datasetIndex];
          return ` ${series?.label ?? ""} ${item.raw === null ? "–" : (series?.format(Number(item.raw)) ?? "")}`;
        } },
      },
    },
  } as unknown as ChartOptions;
  const chart = new Chart(canvas, {
    type: "bar",
    data: { labels: [...plot.labels], datasets: plot.series.map((series, index) => dataset(series, colour, lying, plot.series.length - index)) },
    options,
    plugins: [marks(plot, colour)],
  });
  return { destroy: () => chart.destroy() };
}
