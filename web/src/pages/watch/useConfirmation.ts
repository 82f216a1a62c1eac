import { useEffect, useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import type { Confirmation } from "../../api/types";

export interface Confirming {
  confirmation: Confirmation | null;
  problem: unknown;
  reload: () => void;
}

/**
 * The final confirmation of an offer; null asks for none. What is confirmed must be what would be ordered: asked again
 * for each choice and each version of the offer.
 */
export function useConfirmation(offerId: string | null, qty: number, version: number): Confirming {
  const [round, setRound] = useState(0);
  const [confirmation, setConfirmation] = useState<Confirmation | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    if (offerId === null) return undefined;
    const abort = new AbortController();
    setConfirmation(null);
    setProblem(null);
    api.get<Confirmation>(withQuery(`/v1/offers/${seg(offerId)}/confirmation`, { qty }), { signal: abort.signal }).then(
      setConfirmation,
      (thrown: unknown) => { if (!abort.signal.aborted) setProblem(thrown); },
    );
    return () => abort.abort();
  }, [offerId, qty, version, round]);
  return { confirmation, problem, reload: () => setRound((value) => value + 1) };
}
