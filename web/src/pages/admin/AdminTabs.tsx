import type { JSX } from "preact";
import { text } from "./texts";

export function AdminTabs({ shown }: { shown: "reports" | "money" }): JSX.Element {
  const link = (name: typeof shown): JSX.Element => (
    <a href={`/admin/${name}`} aria-current={name === shown ? "page" : undefined} data-testid={`admin-${name}`}>{text[`tab_${name}`]}</a>
  );
  return <nav class="segments" aria-label={text.tabs}>{link("reports")}{link("money")}</nav>;
}
