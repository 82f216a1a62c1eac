import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { NewSecret } from "../api/webhooks";
import { dateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { copy } from "../ui/copy";
import { Sheet } from "../ui/Sheet";
import { words } from "../ui/words";
import { hooks as text } from "./texts";
import { Verify } from "./Verify";

/** A secret, the only time that it can be seen: closed by mistake it would be lost, so closing without a copy asks first. */
export function SecretSheet({ of: { endpoint, secret }, onClose }: { of: NewSecret; onClose: () => void }): JSX.Element {
  const [kept, setKept] = useState(false);
  const [warned, setWarned] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const take = async (): Promise<void> => {
    if (await copy(secret, text.copy_by_hand)) setKept(true);
    else field.current?.focus();
  };
  const close = (): void => (kept || warned ? onClose() : setWarned(true));
  return (
    <Sheet title={text.secret_title} onClose={close} testId="secret-sheet">
      <div class="stack">
        <p class="notice gold"><strong>{text.secret_once}</strong></p>
        <p class="small muted address">{endpoint.url}</p>
        <div class="row">
          <input ref={field} class="input mono grow" readOnly value={secret} aria-label={text.secret} data-testid="secret" onFocus={(event) => event.currentTarget.select()} onCopy={() => setKept(true)} />
          <button type="button" class="btn ink" data-testid="secret-copy" onClick={() => void take()}>{words.copy}</button>
        </div>
        <div role="alert">{warned && !kept && (
          <div class="notice bad row wrap spread" data-testid="secret-unkept"><span class="grow">{text.secret_unkept}</span><button type="button" class="btn small" data-testid="secret-close" onClick={onClose}>{text.secret_close}</button></div>
        )}</div>
        {endpoint.old_secret_until_ms !== null && <p class="small" data-testid="old-secret-until">{fill(text.renewed, { at: dateTime(endpoint.old_secret_until_ms) })}</p>}
        <h3>{text.verify}</h3>
        <Verify />
        <button type="button" class="btn primary wide" data-testid="secret-kept" onClick={onClose}>{text.secret_done}</button>
      </div>
    </Sheet>
  );
}
