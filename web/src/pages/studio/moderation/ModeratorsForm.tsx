import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { moderation, type Moderator } from "../../../api/moderation";
import { asProblem } from "../../../api/problem";
import { explain } from "../../../api/problem-texts";
import { fill } from "../../../i18n/phrases";
import { deeds } from "../../../moderation/acts";
import { Failed, Loading } from "../../../ui/states";
import { toast } from "../../../ui/toast";
import { useLoad } from "../../../ui/useLoad";
import { text } from "./texts";

export function ModeratorsForm(): JSX.Element {
  const helpers = useLoad(() => moderation.moderators(), []);
  const [email, setEmail] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const changed = (told: string): void => {
    deeds.value += 1;
    toast(told);
    helpers.reload();
  };
  const appoint = (): void => {
    setBusy(true);
    setProblem(null);
    moderation.appoint(email.trim()).then((helper) => {
      setEmail("");
      changed(fill(text.appointed, { name: helper.display_name }));
    }, setProblem).finally(() => setBusy(false));
  };
  const dismiss = (helper: Moderator): void => {
    setBusy(true);
    moderation.dismiss(helper.account_id).then(
      () => changed(fill(text.dismissed, { name: helper.display_name })),
      (thrown: unknown) => toast(explain(thrown), true),
    ).finally(() => setBusy(false));
  };
  return (
    <div class="stack">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); appoint(); }}>
        <label class="field"><span>{text.email}</span>
          <span class="row">
            <input class="input" type="email" required value={email} autocomplete="off" data-testid="moderator-email" onInput={(event) => setEmail(event.currentTarget.value)} />
            <button type="submit" class="btn ink" disabled={busy || email.trim() === ""} data-testid="moderator-add">{text.appoint}</button>
          </span>
          <span class="hint">{text.appoint_hint}</span>
        </label>
        {problem !== null && <p class="notice bad" role="alert">{asProblem(problem).kind === "not-found" ? text.unknown_email : explain(problem)}</p>}
      </form>
      {helpers.problem !== null && <Failed problem={helpers.problem} onRetry={helpers.reload} />}
      {helpers.value === null && helpers.problem === null && <Loading lines={1} />}
      {helpers.value?.length === 0 && <p class="small muted">{text.no_helpers}</p>}
      <ul class="rows">
        {helpers.value?.map((helper) => (
          <li key={helper.account_id} data-testid="moderator">
            <div class="grow"><p class="clip">{helper.display_name}</p><p class="small muted clip">{helper.email}</p></div>
            <button type="button" class="btn small" disabled={busy} aria-label={fill(text.dismiss_of, { name: helper.display_name })}
              data-testid="moderator-remove" onClick={() => dismiss(helper)}>{text.dismiss}</button>
          </li>
        ))}
      </ul>
    </div>
  );
}
