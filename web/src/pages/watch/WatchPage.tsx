import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { Problem } from "../../api/problem";
import { loadSession, me } from "../../api/session";
import type { Live } from "../../api/types";
import type { RoomPin } from "../../hub/model";
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
import { PinCard } from "./PinCard";
import { ProductsSheet } from "./ProductsSheet";
import { QuestionsSheet } from "./QuestionsSheet";
import { SidePanel } from "./SidePanel";
import { SignInSheet } from "./SignInSheet";
import { Stage } from "./Stage";
import { visit } from "./store";
import { TopBar } from "./TopBar";
import "./watch.css";
import "./talk.css";
import "./product.css";

type Open = { sheet: "buy"; pinId: string } | { sheet: "questions" | "products" | "orders" } | { sheet: "sign-in"; then: () => void };

export function WatchPage({ id }: PageProps): JSX.Element {
  const here = useMemo(() => visit(id), [id]);
  useEffect(() => () => here.leave(), [here]);
  const [open, setOpen] = useState<Open | null>(null);
  const close = (): void => setOpen(null);
  // The REST view shows title and state before the hub's snapshot is there, and tells a wrong address from a slow one.
  const rest = useLoad(() => api.get<Live>(`/v1/lives/${seg(id)}`), [id]);
  const pins = useComputed(() => here.room.value.pins);

  const live = useComputed(() => here.room.value.live).value;
  useEffect(() => {
    const title = live?.title ?? rest.value?.title;
    if (title !== undefined) document.title = `${title} - 花道`;
    return () => { document.title = "花道 Hanamichi"; };
  }, [live?.title, rest.value?.title]);

  /** Runs a write for whoever is signed in; a guest is asked to sign in first and the write follows. */
  const asMember = (write: () => void): void => {
    // The session may still be on its way at the very first tap.
    if (me.value === undefined) void loadSession().then(() => asMember(write));
    else if (me.value === null) setOpen({ sheet: "sign-in", then: write });
    else write();
  };
  const buy = (pin: RoomPin): void => {
    here.hub.tell({ kind: "click", pinId: pin.id });
    asMember(() => setOpen({ sheet: "buy", pinId: pin.id }));
  };

  if (live === null && rest.value === null && rest.problem !== null) return <Missing problem={rest.problem} onRetry={rest.reload} />;
  const first = pins.value[0];
  const over = (live?.state ?? rest.value?.state) === "ended";
  return (
    <main id="main" class={wide.value ? "watch wide" : "watch"} data-testid="watch">
      <Stage here={here} rest={rest.value}>
        <TopBar here={here} rest={rest.value} onOrders={() => asMember(() => setOpen({ sheet: "orders" }))} />
        <AnsweringBanner room={here.room} />
        <div class="spring" />
        {!wide.value && <ChatList room={here.room} overlay />}
        {first !== undefined && !over && (
          <PinCard here={here} pin={first} onBuy={() => buy(first)} others={pins.value.length - 1} onOthers={() => setOpen({ sheet: "products" })} />
        )}
        {!wide.value && !over && (
          <Composer here={here} asMember={asMember} onQuestions={() => setOpen({ sheet: "questions" })} />
        )}
      </Stage>
      {wide.value && <SidePanel here={here} asMember={asMember} onBuy={buy} />}

      {open?.sheet === "buy" && <BuySheet here={here} pinId={open.pinId} onClose={close} />}
      {open?.sheet === "questions" && <QuestionsSheet here={here} asMember={asMember} onClose={close} />}
      {open?.sheet === "products" && <ProductsSheet here={here} onBuy={buy} onClose={close} />}
      {open?.sheet === "orders" && <OrdersSheet onClose={close} />}
      {open?.sheet === "sign-in" && <SignInSheet onClose={close} onDone={() => { close(); open.then(); }} />}
    </main>
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
