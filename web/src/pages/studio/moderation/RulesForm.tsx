import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { moderation } from "../../../api/moderation";
import { explain } from "../../../api/problem-texts";
import { fill } from "../../../i18n/phrases";
import { deeds } from "../../../moderation/acts";
import { toast } from "../../../ui/toast";
import type { Desk } from "../store";
import { text } from "./texts";

/** The server takes up to two minutes. */
const SLOW_CHOICES_S = [0, 3, 5, 10, 30, 60, 120] as const;

/** Each choice counts at once; what is shown is what holds, as the room told. */
export function RulesForm({ at }: { at: Desk }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const rules = at.room.value.chatRules;
  const set = (slowModeS: number, followersOnly: boolean): void => {
    setBusy(true);
    moderation.setRules(at.liveId, { slow_mode_s: slowModeS, followers_only: followersOnly }).then(
      () => { deeds.value += 1; },
      (thrown: unknown) => toast(explain(thrown), true),
    ).finally(() => setBusy(false));
  };
  const choices = [...new Set([...SLOW_CHOICES_S, rules.slowModeS])].sort((a, b) => a - b);
  return (
    <div class="stack">
      <label class="field"><span>{text.slow}</span>
        <select class="input" value={String(rules.slowModeS)} disabled={busy} data-testid="slow-mode-select"
          onChange={(event) => set(Number(event.currentTarget.value), rules.followersOnly)}>
          {choices.map((seconds) => <option key={seconds} value={String(seconds)}>{seconds === 0 ? text.slow_off : fill(text.slow_every, { n: seconds })}</option>)}
        </select>
        <span class="hint">{text.slow_hint}</span>
      </label>
      <label class="check">
        <input type="checkbox" role="switch" checked={rules.followersOnly} disabled={busy} data-testid="followers-only-switch"
          onChange={(event) => {
            const wanted = event.currentTarget.checked;
            // Until the room says so, it is not so.
            event.currentTarget.checked = rules.followersOnly;
            set(rules.slowModeS, wanted);
          }} />
        <span>{text.followers}<br /><span class="small muted">{text.followers_hint}</span></span>
      </label>
    </div>
  );
}
