/** Value: what a chart shows. Nothing here knows how it is drawn. */

export type Ink = "indigo" | "shu" | "moss" | "gold" | "ink-2";

export interface Series {
  label: string;
  /** One a place of the axis; null where there is none. */
  values: readonly (number | null)[];
  look: "bar" | "line" | "area" | "dots";
  ink: Ink;
  /** Which of the two scales it is read by. */
  side?: "left" | "right";
  format: (value: number) => string;
}

/** A stretch of the axis that stands out. */
export interface Band {
  from: number;
  /** Exclusive. */
  to: number;
  ink: Ink;
}

export interface Plot {
  labels: readonly string[];
  series: readonly Series[];
  bands?: readonly Band[];
  /** The place that is looked at. */
  picked?: number | null;
  /** Bars lie, for names that need room. */
  lying?: boolean;
  stacked?: boolean;
  /** Charts above each other line up when their scales are as wide. */
  scalePx?: number;
  /** Which of many labels are written. */
  labelsMax?: number;
  /** Names instead of times: cut to what fits. */
  shortLabels?: boolean;
  legend?: boolean;
  legendTop?: boolean;
}
