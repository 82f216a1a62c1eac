import type { JSX } from "preact";
import { language, switchLanguage } from "../i18n/language";
import { words } from "./words";

export function LanguageSwitch(): JSX.Element {
  return (
    <button type="button" class="btn quiet small" lang={language.value === "ja" ? "en" : "ja"} aria-label={words.other_language_label}
      data-testid="language" onClick={() => switchLanguage(language.value === "ja" ? "en" : "ja")}>
      {words.other_language}
    </button>
  );
}
