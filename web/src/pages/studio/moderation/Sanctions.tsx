import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { moderation, type Ban, type Mute } from "../../../api/moderation";
import { explain } from "../../../api/problem-texts";
import { clockTime, dateTime } from "../../../i18n/format";
import { fill } from "../../../i18n/phrases";
import { deeds } from "../../../moderation/acts";
import { Empty, Failed, Loading } from "../../../ui/states";
import { toast } from "../../../ui/toast";
import { useLoad } from "../../../ui/useLoad";
import type { Desk } from "../store";
import { text } from "./texts";

/** Moderators act too, and mutes run out. */
const REFRESH_MS = 15_000;

export function Sanctions({ at }: { at: Desk }): JSX.Element {
  const [busy, setBusy] = useState<string | null>(null);
  const { value, problem, reload } = useLoad(
    async () => {
      const [mutes, bans] = await Promise.all([moderation.mutes(at.liveId), moderation.bans(at.liveId)]);
      return { mutes, bans };
    }, [at.liveId], REFRESH_MS,
  );
  const done = deeds.value;
  useEffect(reload, [done]);
  const lift = (id: string, name: string, what: string, request: Promise<void>): void => {
    setBusy(id);
    request.then(
      () => {
        deeds.value += 1;
        toast(fill(text.lifted, { name, what }));
      },
      (thrown: unknown) => toast(explain(thrown), true),
    ).finally(() => setBusy(null));
  };
  const row = (of: Mute | Ban, what: string, terms: string, atMs: number, request: () => Promise<void>, danger: boolean): JSX.Element => (
    <li key={of.id} data-testid={danger ? "ban" : "mute"}>
      <div class="grow">
        <p class="row wrap"><strong class="clip">{of.display_name}</strong><span class={danger ? "tag live-less" : "tag"}>{what}</span><span class="small muted">{terms}</span></p>
        <p class="small muted">{fill(text.by, { name: of.by_name, at: dateTime(atMs) })}</p>
      </div>
      <button type="button" class="btn small" disabled={busy === of.id} aria-label={fill(text.lift_of, { name: of.display_name, what })}
        data-testid="lift" onClick={() => lift(of.id, of.display_name, what, request())}>{text.lift}</button>
    </li>
  );
  if (value === null) return problem === null ? <Loading lines={2} /> : <Failed problem={problem} onRetry={reload} />;
  if (value.mutes.length + value.bans.length === 0) return <Empty icon="shield">{text.sanctions_empty}</Empty>;
  return (
    <ul class="rows">
      {value.bans.map((ban) => row(ban, text.banned, ban.with_address ? text.with_address : "", ban.banned_at_ms, () => moderation.unban(at.liveId, ban.id), true))}
      {value.mutes.map((mute) => row(mute, text.muted, termsOf(mute), mute.muted_at_ms, () => moderation.unmute(at.liveId, mute.id), false))}
    </ul>
  );
}

function termsOf(mute: Mute): string {
  if (mute.until_ms !== null) return fill(text.until, { at: clockTime(mute.until_ms) });
  return mute.live_id === null ? text.for_good : text.this_live;
}
