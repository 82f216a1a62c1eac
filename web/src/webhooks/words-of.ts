/** How this page calls what became of a delivery. */
import { asProblem } from "../api/problem";
import { explainFully } from "../api/problem-texts";
import type { Delivery } from "../api/webhooks";
import { count, fullDateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { refusalOf } from "./endpoints";
import { hooks as text } from "./texts";

/** Why the last try failed, or that it was taken; nothing before the first. */
export function outcomeWords({ state, fault, status, tries }: Pick<Delivery, "state" | "fault" | "status" | "tries">): string {
  if (fault !== null) return fill(text[`fault_${fault}`], { status: status ?? "–" });
  return state === "delivered" ? fill(text.answered, { status: status ?? "2xx" }) : tries === 0 ? "" : fill(text.fault_status, { status: status ?? "–" });
}

/** All that is known of how it fares, in one line. `active`: whether its endpoint is told anything now. */
export function courseWords(delivery: Delivery, active: boolean, nowMs: number): string {
  const { state, tries, next_at_ms: next } = delivery;
  const parts = [outcomeWords(delivery), tries === 0 ? "" : tries === 1 ? text.once : fill(text.tries, { n: count(tries) })];
  if (state === "failed") parts.push(text.given_up);
  if (state === "waiting") parts.push(!active ? text.on_resume : next === null || next <= nowMs ? text.sending : fill(text.next_at, { at: fullDateTime(next) }));
  return parts.filter((part) => part !== "").join(" ・ ");
}

export function refusalWords(thrown: unknown): string {
  const refusal = refusalOf(asProblem(thrown));
  return refusal === null ? explainFully(thrown) : text[refusal];
}
