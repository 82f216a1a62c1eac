/** The only file that knows the charting library; loaded when there is something to draw. */
import { BarController, BarElement, CategoryScale, Chart, Legend, LinearScale, Tooltip } from "chart.js";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip, Legend);

export interface Bars {
  labels: string[];
  net: { label: string; values: number[] };
  cancelled: { label: string; values: number[] };
  format: (value: number) => string;
}

const WIDE_PX = 520;

export function drawBars(canvas: HTMLCanvasElement, bars: Bars): Chart {
  const style = getComputedStyle(document.documentElement);
  const wide = canvas.clientWidth >= WIDE_PX;
  const lettersMax = wide ? 16 : 8;
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return new Chart(canvas, {
    type: "bar",
    data: {
      labels: bars.labels,
      datasets: [
        { label: bars.net.label, data: bars.net.values, backgroundColor: colour("--indigo"), borderRadius: 5, barThickness: 22 },
        { label: bars.cancelled.label, data: bars.cancelled.values, backgroundColor: colour("--shu"), borderRadius: 5, barThickness: 22 },
      ],
    },
    options: {
      indexAxis: "y",
      responsive: true,
      maintainAspectRatio: false,
      animation: false,
      scales: {
        x: {
          stacked: true, beginAtZero: true, border: { display: false },
          grid: { color: colour("--line") },
          ticks: { color: colour("--ink-2"), maxTicksLimit: wide ? 6 : 3, maxRotation: 0, callback: (value) => bars.format(Number(value)) },
        },
        y: {
          stacked: true, grid: { display: false }, border: { display: false },
          ticks: {
            color: colour("--ink"),
            callback: (_, index) => {
              const letters = [...(bars.labels[index] ?? "")];
              return letters.length > lettersMax ? `${letters.slice(0, lettersMax).join("")}…` : letters.join("");
            },
          },
        },
      },
      plugins: {
        legend: { position: "bottom", labels: { color: colour("--ink"), boxWidth: 12, boxHeight: 12, useBorderRadius: true, borderRadius: 3 } },
        tooltip: { callbacks: { label: (item) => ` ${item.dataset.label ?? ""} ${bars.format(Number(item.raw))}` } },
      },
    },
  });
}
