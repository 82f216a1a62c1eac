import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Live } from "../../api/types";
import { Sheet } from "../../ui/Sheet";
import { words } from "../../ui/words";
import { text } from "./texts";

export function EndSheet({ live, onClose }: { live: Live; onClose: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const end = (): void => {
    setBusy(true);
    api.post<Live>(`/v1/lives/${seg(live.id)}/end`).then(onClose, setProblem).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text.end_title} onClose={onClose} testId="end-sheet">
      <div class="stack">
        <p>{text.end_text}</p>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="button" class="btn primary wide" disabled={busy} data-testid="end-confirm" onClick={end}>{text.end_yes}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </div>
    </Sheet>
  );
}
