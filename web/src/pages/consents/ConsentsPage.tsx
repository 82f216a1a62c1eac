import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { fullDateTime } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { me } from "../../api/session";
import { consent, followConsent } from "../../touches/consent";
import { ConsentButtons } from "../../touches/ConsentButtons";
import { note } from "../../touches/texts";
import { SignInForm } from "../../ui/SignInForm";
import { Loading } from "../../ui/states";
import "../studio/studio.css";
import "../../touches/touches.css";

/** What is noted, for guests to read too; and for who is signed in, whether. */
export function ConsentsPage(): JSX.Element {
  useEffect(followConsent, []);
  const state = consent.value;
  return (
    <main id="main" class="page consent-page" data-testid="consents-page">
      <h1>{note.title}</h1>
      <section class="card panel stack" aria-labelledby="consent-choice">
        <h2 id="consent-choice">{note.choose}</h2>
        {me.value === null && <><p class="muted">{note.gate_lead}</p><SignInForm roles={["viewer"]} onDone={() => undefined} /></>}
        {me.value !== null && state === undefined && <Loading lines={1} />}
        {state !== null && state !== undefined && (
          <>
            <p role="status" data-testid="consent-state" data-given={String(state.given)}>
              <strong>{state.given === null ? note.now_unasked : state.given ? note.now_yes : note.now_no}</strong>
              {state.at_ms !== null && <span class="small muted"> {fill(note.since, { at: fullDateTime(state.at_ms) })}</span>}
            </p>
            <ConsentButtons />
          </>
        )}
      </section>
      <section class="card panel stack" aria-labelledby="consent-noted">
        <h2 id="consent-noted">{note.noted}</h2>
        <ul class="dots"><li>{note.noted_1}</li><li>{note.noted_2}</li><li>{note.noted_3}</li></ul>
        <h2>{note.used}</h2>
        <ul class="dots"><li>{note.used_1}</li><li>{note.used_2}</li></ul>
        <p>{note.not_used}</p>
        <p class="small muted">{note.always}</p>
        <p class="small muted">{note.stop}</p>
      </section>
    </main>
  );
}
