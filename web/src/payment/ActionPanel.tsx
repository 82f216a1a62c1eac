import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, seg } from "../api/client";
import { asProblem } from "../api/problem";
import { explain } from "../api/problem-texts";
import type { Action, Purchase } from "../api/types";
import { language } from "../i18n/language";
import { Icon } from "../ui/icons";
import { withReturn } from "./leading";
import { besideSheet, stripe } from "./stripe";
import { pay } from "./texts";

interface ActionPanelProps {
  purchaseId: string;
  voucher: boolean;
  /** The buyer has just tapped: what can be done on this page begins by itself. */
  fresh: boolean;
  onKnown: (purchase: Purchase) => void;
}

/** What the bank or the provider asks of the buyer: the way there, and the way out. */
export function ActionPanel({ purchaseId, voucher, fresh, onKnown }: ActionPanelProps): JSX.Element {
  const [busy, setBusy] = useState<"opening" | "checking" | "cancelling" | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const path = `/v1/purchases/${seg(purchaseId)}`;

  const run = (what: NonNullable<typeof busy>, work: () => Promise<void>): void => {
    setBusy(what);
    setProblem(null);
    work().catch((thrown: unknown) => setProblem(explain(thrown))).finally(() => setBusy(null));
  };
  const check = async (): Promise<void> => onKnown(await api.post<Purchase>(`${path}/refresh`));
  const follow = async (action: Action): Promise<void> => {
    if (action.kind === "redirect") {
      location.assign(withReturn(action.url, `/purchases/${purchaseId}`, location.origin));
      return;
    }
    const made = await stripe(action.publishable_key, language.value).catch(() => null);
    if (made === null) {
      setProblem(pay.stripe_failed);
      return;
    }
    const { error } = await besideSheet(box.current, () => made.handleNextAction({ clientSecret: action.client_secret }));
    if (error?.message !== undefined) setProblem(error.message);
    await check();
  };
  const open = (only?: Action["kind"]): void => run("opening", async () => {
    let action: Action;
    try {
      action = await api.get<Action>(`${path}/action`);
    } catch (thrown) {
      // Nothing is asked any more: it is done, or over.
      if (asProblem(thrown).kind === "conflict") return check();
      throw thrown;
    }
    if (only === undefined || action.kind === only) await follow(action);
  });

  useEffect(() => {
    // Who has been led away and came back decides for themselves.
    if (fresh) open("stripe");
  }, []);
  useEffect(() => {
    // The button that was pressed is gone.
    if (document.activeElement === null || document.activeElement === document.body) box.current?.querySelector<HTMLElement>("button.primary")?.focus();
  }, []);

  return (
    <div ref={box} class="stack action" data-testid="action" data-kind={voucher ? "voucher" : "action"}>
      <span class="mark" aria-hidden="true"><Icon name={voucher ? "bag" : "shield"} /></span>
      <h3>{voucher ? pay.konbini_title : pay.action_title}</h3>
      <p>{voucher ? pay.konbini_lead : pay.action_lead}</p>
      <p class="small muted">{voucher ? pay.konbini_note : pay.action_note}</p>
      {problem !== null && <p class="notice bad" role="alert" data-testid="action-problem">{problem}</p>}
      <button type="button" class="btn primary wide" disabled={busy !== null} data-testid="action-go" onClick={() => open()}>
        {busy === "opening" ? <><span class="spinner tiny" />{pay.action_opening}</> : voucher ? pay.konbini_go : pay.action_go}
      </button>
      <button type="button" class="btn wide" disabled={busy !== null} data-testid="action-check" onClick={() => run("checking", check)}>{pay.action_check}</button>
      <button type="button" class="btn quiet small" disabled={busy !== null} data-testid="action-cancel"
        onClick={() => run("cancelling", async () => onKnown(await api.post<Purchase>(`${path}/cancel`)))}>{pay.action_cancel}</button>
    </div>
  );
}
