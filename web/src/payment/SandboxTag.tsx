import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { words } from "../ui/words";
import { known, paymentOptions } from "./options";

/** On every page that shows a payment: where no money moves, it says so. */
export function SandboxTag(): JSX.Element | null {
  useEffect(() => void paymentOptions().catch(() => undefined), []);
  return known.value?.sandbox === true ? <span class="tag demo" data-testid="sandbox">{words.sandbox}</span> : null;
}
