import type { JSX } from "preact";
import type { Live } from "../../api/types";
import { count, dateTime } from "../../i18n/format";
import { fill, phrases } from "../../i18n/phrases";
import { Icon } from "../../ui/icons";
import { words } from "../../ui/words";

const text = phrases({
  viewers: ["{n}人が視聴中", "{n} watching"],
  with_brand: ["{brand} とのタイアップ", "In partnership with {brand}"],
});

/** Each live gets its own quiet colour, so that a list without pictures is still told apart. */
function hue(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 360;
  return sum;
}

export function LiveCard({ live }: { live: Live }): JSX.Element {
  const onAir = live.state === "live";
  return (
    <a class="live-card card" href={live.watch_path} data-testid="live-card" data-live={live.id} data-state={live.state}>
      <div class="stage" style={{ "--hue": String(hue(live.liver_id)) }}>
        <span class="initial" aria-hidden="true">{[...live.liver_name][0] ?? "花"}</span>
        <div class="tags">
          {onAir && <span class="tag live">{words.on_air}</span>}
          {live.state === "scheduled" && <span class="tag soon">{words.scheduled}</span>}
          {live.state === "ended" && <span class="tag">{words.ended}</span>}
          {live.demo && <span class="tag demo">{words.demo}</span>}
        </div>
        {live.pr_label !== null && live.pr_label !== "" && <span class="tag pr" data-testid="pr-label">{live.pr_label}</span>}
      </div>
      <div class="about">
        <h3>{live.title}</h3>
        <p class="small muted clip">{live.liver_name}</p>
        {live.tie_up_brand_name !== null && <p class="small muted clip">{fill(text.with_brand, { brand: live.tie_up_brand_name })}</p>}
        <p class="small muted row num">
          {onAir ? <><Icon name="eye" />{fill(text.viewers, { n: count(live.viewers) })}</> : dateTime(live.ended_at_ms ?? live.scheduled_at_ms)}
        </p>
      </div>
    </a>
  );
}
