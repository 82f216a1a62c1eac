import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { problemOf } from "../api/problem";
import { statements } from "../api/settlement";
import { statement as text } from "./statement-texts";

/** The file that the bank takes. A refusal says who is missing, instead of being saved as a file. */
export function Payout({ brandId, month }: { brandId: string; month: string }): JSX.Element {
  const [problem, setProblem] = useState<string | null>(null);
  const fetchFile = (query: string): void => {
    setProblem(null);
    saveFile(statements.payoutPath(brandId, month, "txt") + query, `payouts-${month}.txt`).catch((thrown: unknown) => setProblem(explainFully(thrown)));
  };
  return (
    <div class="closing stack">
      <div class="row wrap spread">
        <p class="small muted">{text.payout}: {text.payout_lead}</p>
        <p class="row wrap">
          <button type="button" class="btn small" data-testid="payout-txt" onClick={() => fetchFile("")}>{text.zengin}</button>
          <a class="btn small" href={statements.payoutPath(brandId, month, "csv")} download data-testid="payout-csv">{text.payout_csv}</a>
        </p>
      </div>
      {problem !== null && (
        <div class="notice bad row wrap spread" role="alert" data-testid="payout-problem"><span class="grow">{problem}</span>
          <button type="button" class="btn small" onClick={() => fetchFile("?leave_out_missing=true")}>{text.leave_out}</button></div>
      )}
    </div>
  );
}

async function saveFile(path: string, name: string): Promise<void> {
  const response = await fetch(path, { credentials: "same-origin" });
  if (!response.ok) throw await problemOf(response);
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
