import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Target } from "../../moderation/tools";
import { Tabs } from "../../ui/Tabs";
import { ChatList } from "./ChatList";
import { Composer } from "./Composer";
import type { PinActs } from "./PinAction";
import { ProductList } from "./ProductList";
import { QuestionList } from "./QuestionList";
import type { Visit } from "./store";
import { text } from "./texts";

interface SidePanelProps {
  here: Visit;
  asMember: (write: () => void) => void;
  acts: PinActs;
  onTools?: ((target: Target) => void) | undefined;
}

export function SidePanel({ here, asMember, acts, onTools }: SidePanelProps): JSX.Element {
  const [tab, setTab] = useState("chat");
  const room = here.room.value;
  const open = [...room.questions.values()].filter((question) => question.state === "open").length;
  return (
    <aside class="side" aria-label={text.talk}>
      <Tabs value={tab} onChange={setTab} tabs={[
        { id: "chat", label: text.chat },
        { id: "questions", label: text.questions, badge: open },
        { id: "products", label: text.products, badge: room.pins.length },
      ]} />
      <div class="side-body" role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`}>
        {tab === "chat" && <ChatList room={here.room} onTools={onTools} />}
        {tab === "questions" && <div class="scroll"><QuestionList here={here} asMember={asMember} onTools={onTools} /></div>}
        {tab === "products" && <div class="scroll"><ProductList here={here} acts={acts} /></div>}
      </div>
      {tab !== "products" && room.live?.state !== "ended" && <Composer here={here} asMember={asMember} mode={tab === "questions" ? "ask" : "chat"} />}
    </aside>
  );
}
