import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { DELIVERY_STATES, webhooks, type Delivery, type DeliveryState, type Endpoint } from "../api/webhooks";
import { count } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { setQuery } from "../ui/router";
import { Empty, Failed, Loading } from "../ui/states";
import { toast } from "../ui/toast";
import { useShown } from "../ui/useShown";
import { words } from "../ui/words";
import { DeliveryRow } from "./DeliveryRow";
import { isOnItsWay, merged } from "./endpoints";
import { hooks as text } from "./texts";
import { courseWords, refusalWords } from "./words-of";

const PAGE = 20;
const REFRESH_MS = 5_000;
/** While something is on its way. */
const SOON_MS = 1_000;

interface DeliveriesProps {
  endpoint: Endpoint;
  /** Which are shown; null: all. */
  state: DeliveryState | null;
  /** The one that is followed: what becomes of it is told. */
  followed: string | null;
  onFollow: (messageId: string) => void;
  onChanged: () => void;
}

/** What was sent to an endpoint within a month, newest first. */
export function Deliveries({ endpoint, state, followed, onFollow, onChanged }: DeliveriesProps): JSX.Element {
  const id = endpoint.endpoint_id;
  const [items, setItems] = useState<readonly Delivery[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const more = (from: string | null): void => {
    setProblem(null);
    webhooks.deliveries(id, state, from, PAGE).then((page) => {
      setItems((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  const refresh = (): void => {
    webhooks.deliveries(id, state, null, PAGE).then((page) => {
      setItems((known) => merged(known ?? [], page));
      // Further pages were loaded by hand, and their cursor still holds.
      setCursor((old) => (page.next_cursor === null ? null : (old ?? page.next_cursor)));
    }, () => undefined);
  };
  const active = endpoint.state === "active";
  const soon = active && items?.some((one) => isOnItsWay(one, Date.now())) === true;
  useEffect(() => more(null), []);
  useEffect(() => { if (followed !== null) refresh(); }, [followed]);
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) refresh(); }, soon ? SOON_MS : REFRESH_MS);
    return () => clearInterval(timer);
  }, [soon]);

  const resend = (of: Delivery): void => {
    webhooks.resend(id, of.message_id).then((again) => {
      setItems((known) => known?.map((one) => (one.message_id === again.message_id ? again : one)) ?? null);
      onFollow(again.message_id);
      onChanged();
    }, (thrown: unknown) => toast(refusalWords(thrown), true));
  };
  const resendFailed = (): void => {
    webhooks.resendFailed(id).then(({ resent }) => {
      toast(fill(text.resent, { n: count(resent) }));
      refresh();
      onChanged();
    }, (thrown: unknown) => toast(refusalWords(thrown), true));
  };
  const choices = [null, ...DELIVERY_STATES] as const;
  const row = useShown<HTMLDivElement>(state ?? "");
  const told = items?.find(({ message_id: message }) => message === followed);
  return (
    <div class="stack deliveries" data-testid="deliveries">
      <div class="row wrap spread">
        <div ref={row} class="segments" role="group" aria-label={text.filter}>{choices.map((choice) => (
          <button key={choice ?? "all"} type="button" aria-pressed={choice === state} data-testid={`deliveries-${choice ?? "all"}`} onClick={() => setQuery({ deliveries: choice })}>{choice === null ? text.all : text[`${choice}_state`]}</button>
        ))}</div>
        {endpoint.failed > 0 && <button type="button" class="btn small ink" disabled={!active} data-testid="resend-failed" onClick={resendFailed}>{fill(text.resend_failed, { n: count(endpoint.failed) })}</button>}
      </div>
      <p class="sr" role="status" data-testid="delivery-said">{told === undefined ? "" : fill(text.said, { what: text[told.event], how: courseWords(told, active, Date.now()) })}</p>
      {problem !== null && <Failed problem={problem} onRetry={() => more(cursor)} />}
      {items === null && problem === null && <Loading lines={2} />}
      {items !== null && items.length === 0 && <Empty icon="send">{state === null ? text.no_deliveries : text.none_such}</Empty>}
      {items !== null && items.length > 0 && (
        <ul class="delivery-list">{items.map((one) => <DeliveryRow key={one.message_id} delivery={one} active={active} onResend={resend} />)}</ul>
      )}
      <div class="row wrap spread">
        <p class="small muted">{text.kept}{!active && ` ${text.inactive}`}</p>
        {cursor !== null && <button type="button" class="btn small" data-testid="more-deliveries" onClick={() => more(cursor)}>{words.more}</button>}
      </div>
    </div>
  );
}
