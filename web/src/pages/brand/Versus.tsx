import type { JSX } from "preact";
import type { AudienceRow } from "../../api/reports";
import { count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { lives } from "../../reports/lives-texts";
import { percent } from "../../reports/words-of";
import { text } from "../../reports/texts";
import { line } from "./timeline-texts";

const MEASURES: { label: "net" | "unique" | "average" | "conversion"; of: (row: AudienceRow) => number | null; show: (value: number) => string }[] = [
  { label: "net", of: (row) => row.net_minor, show: (value) => money(Math.round(value)) },
  { label: "unique", of: (row) => row.unique_viewers, show: (value) => count(Math.round(value)) },
  { label: "average", of: (row) => row.average_viewers_milli / 1000, show: (value) => count(Math.round(value * 10) / 10) },
  { label: "conversion", of: (row) => row.conversion_bp, show: (value) => percent(value) },
];

/** This live beside the average of those before it. */
export function Versus({ mine, earlier }: { mine: AudienceRow | undefined; earlier: readonly AudienceRow[] }): JSX.Element | null {
  if (mine === undefined) return null;
  return (
    <section class="card panel" aria-labelledby="versus-title" data-testid="versus">
      <h2 id="versus-title">{line.compare}</h2>
      {earlier.length === 0 ? <p class="small muted">{line.first_live}</p> : (
        <>
          <p class="small muted">{fill(line.versus_title, { n: count(earlier.length) })}</p>
          <ul class="versus">{MEASURES.map(({ label, of, show }) => {
            const value = of(mine);
            const known = earlier.map(of).filter((one): one is number => one !== null);
            const average = known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
            const most = Math.max(value ?? 0, average ?? 0, 1e-9);
            const ahead = value !== null && average !== null && average > 0 ? Math.round(((value - average) / average) * 100) : null;
            return (
              <li key={label}>
                <p class="row spread"><span class="small">{lives[label]}</span>
                  {ahead !== null && <strong class={`delta small ${ahead > 0 ? "good" : ahead < 0 ? "bad" : ""}`}>{ahead === 0 ? text.same : fill(ahead > 0 ? text.up : text.down, { n: Math.abs(ahead) })}</strong>}</p>
                <div class="pairs" aria-hidden="true"><span class="mine" style={{ width: `${((value ?? 0) / most) * 100}%` }} /><span style={{ width: `${((average ?? 0) / most) * 100}%` }} /></div>
                <p class="small muted num">{fill(line.versus, { mine: value === null ? "–" : show(value), average: average === null ? "–" : show(average) })}</p>
              </li>
            );
          })}</ul>
        </>
      )}
    </section>
  );
}
