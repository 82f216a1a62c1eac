import type { JSX } from "preact";
import { problemName } from "../../api/problem";
import { problemText } from "../../api/problem-texts";
import { fill } from "../../i18n/phrases";
import type { Place } from "../../purchase/places";
import { wait } from "./wait-texts";

/** Why a place is no more, where its person did not give it up. */
export function PlaceNote({ place }: { place: Place }): JSX.Element | null {
  if (place.kind === "missed") return <p class="notice note" role="status" data-testid="place-missed">{wait.missed}</p>;
  if (place.kind !== "lapsed") return null;
  const name = problemName(place.reason);
  const why = name === "unknown" ? wait.lapsed_other : problemText(name);
  return <p class="notice note" role="status" data-testid="place-lapsed" data-reason={place.reason}>{fill(wait.lapsed, { why })}</p>;
}
