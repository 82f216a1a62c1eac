import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explain } from "../../api/problem-texts";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import { Hearts } from "./Hearts";
import type { Connected } from "./store";
import { text } from "./texts";

interface ComposerProps {
  here: Connected;
  asMember: (write: () => void) => void;
  onQuestions?: () => void;
  /** In the side panel the tab decides; above the picture a button does. */
  mode?: "chat" | "ask";
}

const TEXT_MAX = 200;

export function Composer({ here, asMember, onQuestions, mode }: ComposerProps): JSX.Element {
  const [value, setValue] = useState("");
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const ask = mode === undefined ? asking : mode === "ask";
  const open = [...here.room.value.questions.values()].filter((question) => question.state === "open").length;

  const send = (): void => {
    const written = value.trim();
    if (written === "" || busy) return;
    asMember(() => {
      setBusy(true);
      here.hub.request(ask ? { kind: "ask", text: written } : { kind: "send-chat", text: written }).then(
        () => {
          setValue("");
          if (ask) {
            toast(text.asked);
            setAsking(false);
          }
        },
        // What was typed stays, so that nobody writes it twice.
        (thrown: unknown) => toast(explain(thrown), true),
      ).finally(() => setBusy(false));
    });
  };

  return (
    <form class={ask ? "composer asking" : "composer"} onSubmit={(event) => { event.preventDefault(); send(); }}>
      {mode === undefined && (
        <button type="button" class="icon-btn ask" aria-pressed={ask} aria-label={text.ask_mode} data-testid="ask-mode" onClick={() => setAsking(!asking)}>
          <Icon name="question" />
        </button>
      )}
      <input class="grow" value={value} maxLength={TEXT_MAX} enterkeyhint="send" autocomplete="off" data-testid="composer-input"
        aria-label={ask ? text.ask_placeholder : text.chat_placeholder} placeholder={ask ? text.ask_placeholder : text.chat_placeholder}
        onInput={(event) => setValue(event.currentTarget.value)} />
      {value.trim() !== "" && (
        <button type="submit" class="icon-btn go" aria-label={text.send} disabled={busy} data-testid="composer-send"><Icon name="send" /></button>
      )}
      {mode === undefined && onQuestions !== undefined && value === "" && (
        <button type="button" class="icon-btn count" data-testid="open-questions" onClick={onQuestions}>
          <Icon name="chat" /><span class="sr">{text.questions}</span>{open > 0 && <span class="dot num">{open}</span>}
        </button>
      )}
      <Hearts here={here} asMember={asMember} />
    </form>
  );
}
