import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { EVENTS, webhooks, type Endpoint, type EndpointFields, type NewSecret, type WebhookEvent } from "../api/webhooks";
import { uuid } from "../purchase/uuid";
import { persist } from "../purchase/persist";
import { Sheet } from "../ui/Sheet";
import { words } from "../ui/words";
import { changesOf, DESCRIPTION_MAX, fieldsOf, typedOf, URL_MAX } from "./endpoints";
import { hooks as text } from "./texts";
import { refusalWords } from "./words-of";

interface EndpointSheetProps {
  brandId: string;
  /** null: a new one. */
  endpoint: Endpoint | null;
  onClose: () => void;
  onAdded: (made: NewSecret) => void;
  onChanged: () => void;
}

export function EndpointSheet({ brandId, endpoint, onClose, onAdded, onChanged }: EndpointSheetProps): JSX.Element {
  const [before] = useState(() => fieldsOf(endpoint));
  const [typed, setTyped] = useState<EndpointFields>(before);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [key, setKey] = useState(uuid);
  const set = (changes: Partial<EndpointFields>): void => setTyped((old) => ({ ...old, ...changes }));
  const choose = (event: WebhookEvent, chosen: boolean): void => set({ events: chosen ? [...typed.events, event] : typed.events.filter((one) => one !== event) });
  const send = (): void => {
    const read = typedOf(typed);
    if ("wrong" in read) {
      setProblem(text[`wrong_${read.wrong}`]);
      document.getElementById(`hook-${read.wrong}`)?.focus();
      return;
    }
    setBusy(true);
    setProblem(null);
    const sent = endpoint === null
      ? persist(() => webhooks.add(brandId, read.fields, key), {}).then(onAdded)
      : persist(() => webhooks.change(endpoint.endpoint_id, changesOf(before, read.fields)), {}).then(onChanged);
    sent.catch((thrown: unknown) => {
      setProblem(refusalWords(thrown));
      // The next try may say something else, and a key stands for one body.
      setKey(uuid());
    }).finally(() => setBusy(false));
  };
  return (
    <Sheet title={endpoint === null ? text.add_title : text.change_title} onClose={onClose} testId="endpoint-sheet">
      <form class="stack" noValidate onSubmit={(event) => { event.preventDefault(); send(); }}>
        <label class="field"><span>{text.url}</span>
          <input class="input mono" id="hook-url" type="url" inputMode="url" autocomplete="off" spellcheck={false} required maxLength={URL_MAX} placeholder="https://shop.example/webhooks" value={typed.url} disabled={busy} data-testid="hook-url" onInput={(event) => set({ url: event.currentTarget.value })} />
          <span class="hint">{text.url_hint}</span>
        </label>
        <label class="field"><span>{text.description}</span>
          <input class="input" maxLength={DESCRIPTION_MAX} value={typed.description} disabled={busy} data-testid="hook-description" onInput={(event) => set({ description: event.currentTarget.value })} />
          <span class="hint">{text.description_hint}</span>
        </label>
        <fieldset class="hook-events"><legend>{text.events}</legend>
          {EVENTS.map((event, index) => (
            <label key={event} class="check">
              <input type="checkbox" id={index === 0 ? "hook-events" : undefined} checked={typed.events.includes(event)} disabled={busy} data-testid={`hook-event-${event}`} onChange={(change) => choose(event, change.currentTarget.checked)} />
              <span><strong>{text[event]}</strong> <span class="mono small muted">{event}</span><span class="small muted sub">{text[`${event}_text`]}</span></span>
            </label>
          ))}
        </fieldset>
        {problem !== null && <p class="notice bad" role="alert" data-testid="hook-problem">{problem}</p>}
        <button type="submit" class="btn primary wide" disabled={busy} data-testid="hook-save">{endpoint === null ? text.create : words.save}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}
