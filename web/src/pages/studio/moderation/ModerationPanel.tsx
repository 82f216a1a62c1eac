import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { me } from "../../../api/session";
import { Tabs } from "../../../ui/Tabs";
import type { Desk } from "../store";
import { Log } from "./Log";
import { ModeratorsForm } from "./ModeratorsForm";
import { RulesForm } from "./RulesForm";
import { Sanctions } from "./Sanctions";
import { text } from "./texts";
import { WordsForm } from "./WordsForm";
import "./moderation.css";

/** How order is kept: the chat's rules, who may not talk or watch, which words, who helps, and what was done. */
export function ModerationPanel({ at }: { at: Desk }): JSX.Element {
  const [tab, setTab] = useState("mod-rules");
  const liverId = me.value?.liver_id ?? "";
  return (
    <section class="panel moderation" aria-label={text.title} data-testid="moderation">
      <h2>{text.title}</h2>
      <Tabs value={tab} onChange={setTab} tabs={[
        { id: "mod-rules", label: text.rules }, { id: "mod-people", label: text.people }, { id: "mod-words", label: text.words },
        { id: "mod-helpers", label: text.helpers }, { id: "mod-log", label: text.log },
      ]} />
      <div role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`}>
        {tab === "mod-rules" && <RulesForm at={at} />}
        {tab === "mod-people" && <Sanctions at={at} />}
        {tab === "mod-words" && <WordsForm liverId={liverId} />}
        {tab === "mod-helpers" && <ModeratorsForm />}
        {tab === "mod-log" && <Log at={at} />}
      </div>
    </section>
  );
}
