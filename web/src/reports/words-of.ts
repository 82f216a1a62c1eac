/** How this page calls what the server names. */
import type { Definition, Dimension, ReportRow } from "../api/reports";
import { count, money, rate } from "../i18n/format";
import { language } from "../i18n/language";
import { FIGURES, type FigureName } from "./figures";
import { text } from "./texts";

/** The server's definition where it has one: its figure, its words. */
export function meaningOf(name: FigureName | "conversion", definitions: readonly Definition[]): string {
  const found = definitions.find((entry) => entry.name.replace(/_(minor|bp)$/, "") === name);
  if (found === undefined) return text[`means_${name}`];
  return language.value === "ja" ? found.ja : found.en;
}

/** null: nobody is told how few they are. */
export function shown(name: FigureName, value: number | null, currency = "JPY"): string {
  if (value === null) return text.suppressed;
  switch (FIGURES[name].kind) {
    case "money": return money(value, currency);
    case "rate": return percent(value);
    case "count": case "people": return count(value);
  }
}

/** One decimal says enough of a rate that was measured. */
export function percent(basisPoints: number): string {
  return rate(Math.round(basisPoints / 10) * 10);
}

export function dayLabel(day: string): string {
  const at = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(at.getTime())) return day;
  return new Intl.DateTimeFormat(language.value === "ja" ? "ja-JP" : "en-GB", { timeZone: "UTC", month: "numeric", day: "numeric", weekday: "short" }).format(at);
}

export function hourLabel(hour: string): string {
  return `${Number(hour)}${language.value === "ja" ? "時" : ":00"}`;
}

export function rowLabel(by: Dimension, row: Pick<ReportRow, "key" | "label">): string {
  if (by === "day") return dayLabel(row.key);
  if (by === "hour") return hourLabel(row.key);
  if (by === "channel") return channelName(row.key);
  const label = row.label === "" ? row.key : row.label;
  return label === "" ? text.nameless : label;
}

export function channelName(channel: string): string {
  switch (channel) {
    case "live": return text.channel_live;
    case "replay": return text.channel_replay;
    case "shop": return text.channel_shop;
    case "store": return text.channel_store;
    default: return channel === "" ? text.nameless : channel;
  }
}
