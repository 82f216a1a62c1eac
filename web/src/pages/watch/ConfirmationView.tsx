import type { JSX } from "preact";
import { Failed } from "../../ui/states";
import { ConfirmationTable } from "./ConfirmationTable";
import type { Confirming } from "./useConfirmation";

/** The sheet, the place it will take, or why there is none. */
export function ConfirmationView({ of }: { of: Confirming }): JSX.Element {
  if (of.confirmation !== null) return <ConfirmationTable of={of.confirmation} />;
  if (of.problem !== null) return <Failed problem={of.problem} onRetry={of.reload} />;
  return <div class="skeleton" style={{ height: "330px" }} />;
}
