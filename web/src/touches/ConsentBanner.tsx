import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { consent, followConsent } from "./consent";
import { ConsentButtons } from "./ConsentButtons";
import { note } from "./texts";
import "./touches.css";

/** Asks once whoever is signed in, and stands back while anything more urgent is said. `covered`: a sheet is open. */
export function ConsentBanner({ covered }: { covered: boolean }): JSX.Element | null {
  useEffect(followConsent, []);
  if (covered || consent.value === null || consent.value === undefined || consent.value.given !== null) return null;
  return (
    <section class="consent" aria-label={note.title} data-testid="consent">
      <p><strong>{note.ask}</strong> {note.ask_more} <a href="/consents" target="_blank" data-testid="consent-what">{note.what}</a></p>
      <ConsentButtons small />
    </section>
  );
}
