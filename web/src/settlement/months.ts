/** Pure: Japanese months, as statements are named. */
import { dayOf, isDay, startOf } from "../reports/range";
import { language } from "../i18n/language";

/** "2026-11". */
export type Month = string;

const MONTHS_BACK = 24;

export function isMonth(text: string | null): text is Month {
  return text !== null && isDay(`${text}-01`);
}

export function monthBefore(month: Month): Month {
  return dayOf(startOf(`${month}-01`) - 1).slice(0, 7);
}

/** The one that can be closed: the last that is over. */
export function lastMonth(nowMs: number): Month {
  return monthBefore(dayOf(nowMs).slice(0, 7));
}

/** From this one backwards. */
export function monthsUntil(nowMs: number): Month[] {
  const months: Month[] = [];
  for (let month = dayOf(nowMs).slice(0, 7); months.length < MONTHS_BACK; month = monthBefore(month)) months.push(month);
  return months;
}

export function monthName(month: Month): string {
  return new Intl.DateTimeFormat(language.value === "ja" ? "ja-JP" : "en-GB", { timeZone: "UTC", year: "numeric", month: "long" }).format(Date.parse(`${month}-01T00:00:00Z`));
}
