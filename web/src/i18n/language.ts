import { effect, signal } from "@preact/signals";

export type Language = "ja" | "en";

const KEY = "hanamichi.language";

function remembered(): Language | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "ja" || value === "en" ? value : null;
  } catch {
    // Storage may be forbidden; the browser's language still stands.
    return null;
  }
}

export function preferred(languages: readonly string[]): Language {
  return languages.some((tag) => tag.toLowerCase().startsWith("ja")) ? "ja" : "en";
}

export const language = signal<Language>(remembered() ?? preferred([navigator.language]));

effect(() => {
  document.documentElement.lang = language.value;
});

export function switchLanguage(next: Language): void {
  language.value = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Not remembered, but switched.
  }
}
