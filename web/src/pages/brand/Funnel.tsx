import type { JSX } from "preact";
import type { AudienceRow, TimelinePin } from "../../api/reports";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { shareOf } from "../../reports/figures";
import { text } from "../../reports/texts";
import { clickersOf } from "../../reports/timeline";
import { percent } from "../../reports/words-of";
import { line } from "./timeline-texts";

/** Viewers, of them who tapped, of them who bought. */
export function Funnel({ audience, pins }: { audience: AudienceRow | undefined; pins: readonly TimelinePin[] }): JSX.Element {
  const viewers = audience?.unique_viewers ?? null;
  const clickers = clickersOf(pins);
  const steps: { label: string; people: number | null; atLeast: boolean }[] = audience === undefined ? [] : [
    { label: line.step_viewers, people: viewers, atLeast: false },
    ...(clickers === null ? [] : [{ label: line.step_clickers, ...clickers }]),
    { label: line.step_buyers, people: audience.buyers, atLeast: false },
  ];
  return (
    <section class="card head-card funnel" aria-labelledby="funnel-title" data-testid="funnel">
      <h2 id="funnel-title" class="head-label">{line.funnel}</h2>
      {steps.length === 0 ? <p class="small muted">{line.funnel_unknown}</p> : (
        <ol>{steps.map(({ label, people, atLeast }, index) => {
          const share = people === null || viewers === null ? null : shareOf(people, viewers);
          return (
            <li key={label}>
              <p class="row spread small"><span>{label}</span><strong class="num">{people === null ? text.suppressed : atLeast ? fill(line.at_least, { n: count(people) }) : count(people)}</strong></p>
              <div class="level" aria-hidden="true"><span style={{ width: `${index === 0 && people !== null ? 100 : (share ?? 0)}%` }} /></div>
              {index > 0 && share !== null && <p class="small muted num">{fill(line.of_viewers, { rate: percent(Math.round(share * 100)) })}</p>}
            </li>
          );
        })}</ol>
      )}
    </section>
  );
}
