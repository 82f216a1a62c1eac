import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { webhooks, type Endpoint, type NewSecret } from "../api/webhooks";
import { dateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { persist } from "../purchase/persist";
import { uuid } from "../purchase/uuid";
import { HOUR_MS } from "../reports/range";
import { Sheet } from "../ui/Sheet";
import { words } from "../ui/words";
import { hooks as text } from "./texts";
import { refusalWords } from "./words-of";

const OLD_SECRET_MS = 24 * HOUR_MS;

interface SureSheetProps {
  what: "renew" | "remove";
  endpoint: Endpoint;
  onClose: () => void;
  onRenewed: (made: NewSecret) => void;
  onRemoved: () => void;
}

/** What cannot be taken back is asked twice. */
export function SureSheet({ what, endpoint, onClose, onRenewed, onRemoved }: SureSheetProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const key = useMemo(uuid, []);
  const send = (): void => {
    setBusy(true);
    setProblem(null);
    const sent = what === "renew"
      ? persist(() => webhooks.renew(endpoint.endpoint_id, key), {}).then(onRenewed)
      : persist(() => webhooks.remove(endpoint.endpoint_id), {}).then(onRemoved);
    sent.catch((thrown: unknown) => setProblem(refusalWords(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text[`${what}_title`]} onClose={onClose} testId={`${what}-sheet`}>
      <div class="stack">
        <p class="address">{endpoint.url}</p>
        <p>{what === "remove" ? text.remove_text : fill(text.renew_text, { at: dateTime(Date.now() + OLD_SECRET_MS) })}</p>
        {problem !== null && <p class="notice bad" role="alert">{problem}</p>}
        <button type="button" class="btn primary wide" disabled={busy} data-testid={`${what}-confirm`} onClick={send}>{text[what]}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </div>
    </Sheet>
  );
}
