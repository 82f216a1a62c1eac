import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import type { Live } from "../../api/types";
import { ToolsSheet, type Target } from "../../moderation/tools";
import type { PageProps } from "../../ui/pages";
import { RoleGate } from "../../ui/RoleGate";
import { Failed, Loading } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";
import { useLoad } from "../../ui/useLoad";
import { wide } from "../../ui/wide";
import { ChatList } from "../watch/ChatList";
import { Composer } from "../watch/Composer";
import { LiveHead } from "./LiveHead";
import { MediaPanel } from "./MediaPanel";
import { ModerationPanel } from "./moderation/ModerationPanel";
import { ObsPanel } from "./ObsPanel";
import { Preview } from "./Preview";
import { ProductRail } from "./ProductRail";
import { QuestionQueue } from "./QuestionQueue";
import { SalesPanel } from "./SalesPanel";
import { desk, type Desk } from "./store";
import { text } from "./texts";
import { useSales } from "./useSales";
import "./studio.css";
import "../watch/talk.css";
import "../watch/product.css";

export function StudioPage({ id }: PageProps): JSX.Element {
  return (
    <RoleGate title={text.gate_title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="liver" allows={(me) => me.liver_id !== null}>
      <Studio id={id} />
    </RoleGate>
  );
}

function Studio({ id }: Pick<PageProps, "id">): JSX.Element {
  const at = useMemo(() => desk(id), [id]);
  useEffect(() => () => at.leave(), [at]);
  const rest = useLoad(() => api.get<Live>(`/v1/lives/${seg(id)}`), [id]);
  const sales = useSales(at);
  const [tab, setTab] = useState("questions");
  const [target, setTarget] = useState<Target | null>(null);
  if (rest.value === null) {
    return <main id="main" class="page">{rest.problem === null ? <Loading /> : <Failed problem={rest.problem} onRetry={rest.reload} />}</main>;
  }
  const live = rest.value;
  const open = [...at.room.value.questions.values()].filter((question) => question.state === "open").length;
  const over = (at.room.value.live?.state ?? live.state) === "ended";
  const parts: Record<string, JSX.Element> = {
    questions: <QuestionQueue at={at} onTools={setTarget} />,
    chat: <Talk at={at} onTools={setTarget} />,
    products: <ProductRail at={at} />,
    sales: <SalesPanel sales={sales} />,
    moderation: <ModerationPanel at={at} />,
  };
  return (
    <main id="main" class="studio" data-testid="studio">
      <LiveHead at={at} live={live} sales={sales} onChanged={rest.reload} />
      <div class="desk">
        <div class="left stack"><Preview at={at} live={live} onChanged={rest.reload} />{!over && <MediaPanel at={at} />}<ObsPanel at={at} live={live} onChanged={rest.reload} /></div>
        {wide.value ? (
          <>
            <div class="middle"><div class="card">{parts["questions"]}</div><div class="card">{parts["chat"]}</div><div class="card">{parts["moderation"]}</div></div>
            <div class="right"><div class="card">{parts["sales"]}</div><div class="card">{parts["products"]}</div></div>
          </>
        ) : (
          <div class="card tabbed">
            <Tabs value={tab} onChange={setTab} tabs={[
              { id: "questions", label: text.queue, badge: open }, { id: "products", label: text.products },
              { id: "sales", label: text.sales }, { id: "chat", label: text.chat },
              { id: "moderation", label: text.moderation },
            ]} />
            <div role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`}>{parts[tab]}</div>
          </div>
        )}
      </div>
      {target !== null && <ToolsSheet liveId={id} room={at.room} target={target} onClose={() => setTarget(null)} />}
    </main>
  );
}

function Talk({ at, onTools }: { at: Desk; onTools: (target: Target) => void }): JSX.Element {
  return (
    <section class="panel talk" aria-label={text.chat}>
      <h2>{text.chat}</h2>
      <ChatList room={at.room} onTools={onTools} />
      <div class="side-composer"><Composer here={at} asMember={(write) => write()} mode="chat" /></div>
    </section>
  );
}
