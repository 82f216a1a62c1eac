import { language } from "./language";

type Pair = readonly [ja: string, en: string];
export type Phrases<K extends string> = { readonly [key in K]: string };

/**
 * A page's own words in both languages. Each key is a getter that reads the language signal, so whatever shows a
 * phrase follows a switch; and each page carries only its own words.
 */
export function phrases<const K extends string>(pairs: Record<K, Pair>): Phrases<K> {
  const book = {} as Record<K, string>;
  for (const key of Object.keys(pairs) as K[]) {
    Object.defineProperty(book, key, {
      enumerable: true,
      get: () => pairs[key][language.value === "ja" ? 0 : 1],
    });
  }
  return book;
}

/** Puts values into the `{name}` places of a phrase. */
export function fill(phrase: string, values: Record<string, string | number>): string {
  return phrase.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}
