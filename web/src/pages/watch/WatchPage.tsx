import { useComputed } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { Problem } from "../../api/problem";
import { loadSession, me } from "../../api/session";
import type { Live } from "../../api/types";
import { keepsOrder } from "../../moderation/order";
import { ToolsSheet, type Target } from "../../moderation/tools";
import { openTurns } from "../../purchase/places";
import { ConsentBanner } from "../../touches/ConsentBanner";
import type { PageProps } from "../../ui/pages";
import { Empty, Failed } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { wide } from "../../ui/wide";
import { words } from "../../ui/words";
import { AnsweringBanner } from "./AnsweringBanner";
import { BuySheet } from "./BuySheet";
import { ChatList } from "./ChatList";
import { Composer } from "./Composer";
import { OrdersSheet } from "./OrdersSheet";
import type { PinActs } from "./PinAction";
import { PendingBanner } from "./PendingBanner";
import { PinCard } from "./PinCard";
import { ProductsSheet } from "./ProductsSheet";
import { PurchaseSheet } from "./PurchaseSheet";
import { QuestionsSheet } from "./QuestionsSheet";
import { ShortBanner } from "./ShortBanner";
import { SidePanel } from "./SidePanel";
import { SignInSheet } from "./SignInSheet";
import { Stage } from "./Stage";
import { visit, type Visit } from "./store";
import { text } from "./texts";
import { TopBar } from "./TopBar";
import { TurnBanner } from "./TurnBanner";
import { TurnSheet } from "./TurnSheet";
import { wait } from "./wait-texts";
import { WaitSheet } from "./WaitSheet";
import "./watch.css";
import "./talk.css";
import "./product.css";

type Open =
  | { sheet: "buy" | "wait"; pinId: string; offerId: string | null }
  | { sheet: "turn" | "purchase"; purchaseId: string }
  | { sheet: "questions" | "products" | "orders" }
  | { sheet: "tools"; target: Target }
  | { sheet: "sign-in"; then: () => void };

export function WatchPage({ id }: PageProps): JSX.Element {
  const here = useMemo(() => visit(id), [id]);
  useEffect(() => () => here.leave(), [here]);
  const [open, setOpen] = useState<Open | null>(null);
  const close = (): void => setOpen(null);
  // The REST view shows title and state before the hub's snapshot is there, and tells a wrong address from a slow one.
  const rest = useLoad(() => api.get<Live>(`/v1/lives/${seg(id)}`), [id]);
  const pins = useComputed(() => here.room.value.pins);

  const live = useComputed(() => here.room.value.live).value;
  // In the title too: whoever waits may be in another tab.
  const called = useComputed(() => openTurns(here.room.value, here.hub.clock.nowMs()).length > 0).value;
  useEffect(() => {
    const title = live?.title ?? rest.value?.title;
    if (title !== undefined) document.title = `${called ? `【${wait.turn}】` : ""}${title} - 花道`;
    return () => { document.title = "花道 Hanamichi"; };
  }, [live?.title, rest.value?.title, called]);

  /** Runs a write for whoever is signed in; a guest is asked to sign in first and the write follows. */
  const asMember = (write: () => void): void => {
    // The session may still be on its way at the very first tap.
    if (me.value === undefined) void loadSession().then(() => asMember(write));
    else if (me.value === null) setOpen({ sheet: "sign-in", then: write });
    else write();
  };
  const openTurn = (purchaseId: string): void => setOpen({ sheet: "turn", purchaseId });
  const acts: PinActs = {
    onBuy: (pin) => {
      here.hub.tell({ kind: "click", pinId: pin.id });
      asMember(() => setOpen({ sheet: "buy", pinId: pin.id, offerId: null }));
    },
    onWait: (pin) => asMember(() => setOpen({ sheet: "wait", pinId: pin.id, offerId: null })),
    onTurn: openTurn,
  };
  const openWait = (offerId: string): void => {
    const pin = here.room.value.pins.find((candidate) => candidate.offers.some((offer) => offer.id === offerId));
    if (pin === undefined) close();
    else asMember(() => setOpen({ sheet: "wait", pinId: pin.id, offerId }));
  };

  const banned = isBanned(here, rest.problem);
  useEffect(() => {
    if (!banned) return;
    setOpen(null);
    here.player.stop();
    here.hub.stop();
  }, [banned]);
  const helps = useComputed(() => keepsOrder(here.room.value)).value;
  const onTools = helps ? (target: Target): void => setOpen({ sheet: "tools", target }) : undefined;

  if (banned) return <Banned onOrders={() => setOpen({ sheet: "orders" })}>{open?.sheet === "orders" && <OrdersSheet onClose={close} />}</Banned>;
  if (live === null && rest.value === null && rest.problem !== null) return <Missing problem={rest.problem} onRetry={rest.reload} />;
  const first = pins.value[0];
  const over = (live?.state ?? rest.value?.state) === "ended";
  return (
    <main id="main" class={wide.value ? "watch wide" : "watch"} data-testid="watch">
      <Stage here={here} rest={rest.value}>
        <TopBar here={here} rest={rest.value} asMember={asMember} onOrders={() => asMember(() => setOpen({ sheet: "orders" }))} />
        <TurnBanner here={here} covered={open !== null && open.sheet !== "turn"} onTurn={openTurn} onWait={openWait} />
        <PendingBanner room={here.room.value} covered={open !== null} onOpen={(purchaseId) => setOpen({ sheet: "purchase", purchaseId })} />
        <ShortBanner room={here.room.value} />
        <AnsweringBanner room={here.room} />
        <ConsentBanner covered={open !== null} />
        <div class="spring" />
        {!wide.value && <ChatList room={here.room} overlay onTools={onTools} />}
        {first !== undefined && !over && (
          <PinCard here={here} pin={first} acts={acts} others={pins.value.length - 1} onOthers={() => setOpen({ sheet: "products" })} />
        )}
        {!wide.value && !over && (
          <Composer here={here} asMember={asMember} onQuestions={() => setOpen({ sheet: "questions" })} />
        )}
      </Stage>
      {wide.value && <SidePanel here={here} asMember={asMember} acts={acts} onTools={onTools} />}

      {open?.sheet === "buy" && <BuySheet here={here} pinId={open.pinId} offerId={open.offerId} onClose={close} onWait={openWait} />}
      {open?.sheet === "wait" && (
        <WaitSheet here={here} pinId={open.pinId} offerId={open.offerId} onClose={close} onTurn={openTurn}
          onBuy={(offerId) => setOpen({ sheet: "buy", pinId: open.pinId, offerId })} />
      )}
      {open?.sheet === "turn" && <TurnSheet here={here} purchaseId={open.purchaseId} onClose={close} onWait={openWait} />}
      {open?.sheet === "purchase" && <PurchaseSheet here={here} purchaseId={open.purchaseId} onClose={close} />}
      {open?.sheet === "questions" && <QuestionsSheet here={here} asMember={asMember} onClose={close} onTools={onTools} />}
      {open?.sheet === "tools" && <ToolsSheet liveId={id} room={here.room} target={open.target} onClose={close} />}
      {open?.sheet === "products" && <ProductsSheet here={here} acts={acts} onClose={close} />}
      {open?.sheet === "orders" && <OrdersSheet onClose={close} />}
      {open?.sheet === "sign-in" && <SignInSheet onClose={close} onDone={() => { close(); open.then(); }} />}
    </main>
  );
}

/** Told by the hub, or by whatever else refused first: a refused socket does not say why. */
function isBanned(here: Visit, rest: unknown): boolean {
  // Read, so that a change of either shows.
  const changed = [here.status.value, here.picture.value];
  const told = [here.hub.ending, here.player.problem, rest];
  return changed.length > 0 && told.some((problem) => problem instanceof Problem && problem.kind === "banned");
}

function Banned({ onOrders, children }: { onOrders: () => void; children: ComponentChildren }): JSX.Element {
  return (
    <div class="missing" data-testid="banned"><main id="main" class="page">
      <Empty icon="ban">
        <h1>{text.banned_title}</h1>
        <p>{text.banned_text}</p>
        <p class="row wrap centre">
          {me.value !== null && <button type="button" class="btn" data-testid="my-orders" onClick={onOrders}>{text.banned_orders}</button>}
          <a class="btn" href="/">{words.to_lives}</a>
        </p>
      </Empty>
      {children}
    </main></div>
  );
}

function Missing({ problem, onRetry }: { problem: unknown; onRetry: () => void }): JSX.Element {
  const gone = problem instanceof Problem && problem.kind === "not-found";
  return (
    <div class="missing"><main id="main" class="page">
      {!gone && <Failed problem={problem} onRetry={onRetry} />}
      <Empty>
        {gone && <h1>{words.not_found_title}</h1>}
        <p><a class="btn" href="/">{words.to_lives}</a></p>
      </Empty>
    </main></div>
  );
}
