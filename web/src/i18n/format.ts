import { language } from "./language";

const ZONE = "Asia/Tokyo";

function locale(): string {
  return language.value === "ja" ? "ja-JP" : "en-GB";
}

/** Yen have no decimals; other currencies are shown with the digits that Intl knows for them. */
export function money(minor: number, currency = "JPY"): string {
  const format = new Intl.NumberFormat(language.value === "ja" ? "ja-JP" : "en-US", { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 0;
  return format.format(minor / 10 ** digits).replace("¥", "￥");
}

export function count(value: number): string {
  return new Intl.NumberFormat(locale()).format(value);
}

export function rate(basisPoints: number): string {
  return `${String(basisPoints / 100)}%`;
}

export function dateTime(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), {
    timeZone: ZONE, month: "short", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit",
  }).format(atMs);
}

/** The day alone, as papers are dated. */
export function date(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), { timeZone: ZONE, year: "numeric", month: "long", day: "numeric" }).format(atMs);
}

export function fullDateTime(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), {
    timeZone: ZONE, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  }).format(atMs);
}

export function clockTime(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), { timeZone: ZONE, hour: "2-digit", minute: "2-digit" }).format(atMs);
}

/** What is left of a countdown: 1:02:03, 12:03 or 0:07. */
export function countdown(leftMs: number): string {
  const total = Math.max(0, Math.ceil(leftMs / 1000));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = String(total % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** A length of time in words: 2時間5分, 4 min, 20 s. The two largest units say enough. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units: [number, string, string][] = [
    [Math.floor(whole / 3600), "時間", " h"], [Math.floor((whole % 3600) / 60), "分", " min"], [whole % 60, "秒", " s"],
  ];
  const first = units.findIndex(([value]) => value > 0);
  const shown = first === -1 ? units.slice(2) : units.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, ja, en]) => `${count(value)}${language.value === "ja" ? ja : en}`).join(language.value === "ja" ? "" : " ");
}

export function percentOff(priceMinor: number, regularMinor: number): number {
  if (regularMinor <= 0 || priceMinor >= regularMinor) return 0;
  return Math.floor(((regularMinor - priceMinor) * 100) / regularMinor);
}
