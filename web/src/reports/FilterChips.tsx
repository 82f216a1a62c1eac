import type { JSX } from "preact";
import type { Scope } from "../api/reports";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { setQuery } from "../ui/router";
import { FILTER_NAMES, type Filters } from "./filters";
import { labelOf } from "./known-labels";
import { text } from "./texts";

/** What the figures are narrowed to, and the way out of each. */
export function FilterChips({ scope, filters }: { scope: Scope; filters: Filters }): JSX.Element | null {
  const chosen = FILTER_NAMES.flatMap((name) => {
    const key = filters[name];
    return key === undefined ? [] : [{ name, label: fill(text.filter, { name: text[`by_${name}`], label: labelOf(scope, name, key) }) }];
  });
  if (chosen.length === 0) return null;
  return (
    <ul class="row wrap chips" aria-label={text.filters}>
      {chosen.map(({ name, label }) => (
        <li key={name}>
          <button type="button" class="chip" aria-label={fill(text.remove, { label })} data-testid={`filter-${name}`} onClick={() => setQuery({ [name]: null })}>{label}<Icon name="close" /></button>
        </li>
      ))}
      {chosen.length > 1 && <li><button type="button" class="btn quiet small" onClick={() => setQuery(Object.fromEntries(FILTER_NAMES.map((name) => [name, null])))}>{text.clear}</button></li>}
    </ul>
  );
}
