import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { asProblem } from "../../api/problem";
import { explain, problemText } from "../../api/problem-texts";
import { me } from "../../api/session";
import { clockTime, countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { keepsOrder } from "../../moderation/order";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import { FollowButton } from "./FollowButton";
import { Hearts } from "./Hearts";
import type { Connected } from "./store";
import { text } from "./texts";
import { useClock } from "./useClock";
import { voiceOf, voiceUntil } from "./voice";

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
  const [about, setAbout] = useState<string | null>(null);
  const [saidAtMs, setSaidAtMs] = useState(0);
  const [refusedUntilMs, setRefusedUntilMs] = useState(0);
  const room = here.room.value;
  const ask = mode === undefined ? asking : mode === "ask";
  const now = useClock(here.hub.clock, voiceUntil(room, saidAtMs, refusedUntilMs));
  const voice = voiceOf(room, ask ? "ask" : "chat", saidAtMs, refusedUntilMs, now);
  // A guest cannot follow before signing in, and is told so before typing in vain.
  const outside = voice.kind === "followers-only" || (!ask && room.chatRules.followersOnly && me.value === null);
  const held = voice.kind === "muted" || outside;
  const open = [...room.questions.values()].filter((question) => question.state === "open").length;
  const product = ask ? room.pins[0]?.product : undefined;

  const refused = (thrown: unknown): void => {
    const problem = asProblem(thrown);
    const untilMs = problem.retryAfterMs > 0 ? here.hub.clock.nowMs() + problem.retryAfterMs : -1;
    // What the server says counts at once, whatever was known here.
    if (problem.kind === "slow-mode") setRefusedUntilMs(untilMs);
    if (problem.kind === "muted") here.hub.learnStanding({ mutedUntilMs: untilMs });
    if (problem.kind === "followers-only") here.hub.learnStanding({ following: false });
    toast(explain(problem), true);
  };
  const send = (): void => {
    const written = value.trim();
    if (written === "" || busy) return;
    if (voice.kind === "cooling") return toast(problemText("slow-mode"), true);
    const productId = product?.id === about ? (about ?? "") : "";
    asMember(() => {
      setBusy(true);
      here.hub.request(ask ? { kind: "ask", text: written, productId } : { kind: "send-chat", text: written }).then(
        (result) => {
          setValue("");
          if (result.kind === "chat") setSaidAtMs(result.chat.atMs);
          if (ask) {
            toast(text.asked);
            setAsking(false);
            setAbout(null);
          }
        },
        // What was typed stays, so that nobody writes it twice.
        refused,
      ).finally(() => setBusy(false));
    });
  };
  const placeholder = ask ? text.ask_placeholder
    : voice.kind === "cooling" ? fill(text.slow_wait, { left: countdown(voice.untilMs - now) })
    : room.chatRules.slowModeS > 0 && !keepsOrder(room) ? fill(text.slow_placeholder, { n: room.chatRules.slowModeS })
    : text.chat_placeholder;

  return (
    <div class="composer-box">
      {product !== undefined && !held && (
        <button type="button" class="about-chip" aria-pressed={about === product.id} data-testid="ask-about"
          onClick={() => setAbout(about === product.id ? null : product.id)}>
          <Icon name={about === product.id ? "check" : "plus"} /><span class="clip">{fill(text.about_product, { product: product.title })}</span>
        </button>
      )}
      <form class={ask ? "composer asking" : "composer"} onSubmit={(event) => { event.preventDefault(); send(); }}>
        {mode === undefined && voice.kind !== "muted" && (
          <button type="button" class="icon-btn ask" aria-pressed={ask} aria-label={text.ask_mode} data-testid="ask-mode" onClick={() => setAsking(!asking)}>
            <Icon name="question" />
          </button>
        )}
        {held ? (
          <div class="held grow" role="status" data-testid={voice.kind === "muted" ? "muted" : "followers-only"}>
            <span>{voice.kind === "muted" ? mutedWords(voice.untilMs, now) : text.followers_only}</span>
            {outside && voice.kind !== "muted" && <FollowButton here={here} asMember={asMember} look="primary" />}
          </div>
        ) : (
          <input class="grow" value={value} maxLength={TEXT_MAX} enterkeyhint="send" autocomplete="off" data-testid="composer-input"
            aria-label={ask ? text.ask_placeholder : text.chat_placeholder} placeholder={placeholder}
            onInput={(event) => setValue(event.currentTarget.value)} />
        )}
        {voice.kind === "cooling" && value.trim() !== "" && (
          <span class="cooling num" role="timer" aria-label={text.slow_mode} data-testid="slow-mode">{countdown(voice.untilMs - now)}</span>
        )}
        {!held && value.trim() !== "" && (
          <button type="submit" class="icon-btn go" aria-label={text.send} disabled={busy || voice.kind === "cooling"} data-testid="composer-send"><Icon name="send" /></button>
        )}
        {mode === undefined && onQuestions !== undefined && value === "" && (
          <button type="button" class="icon-btn count" data-testid="open-questions" onClick={onQuestions}>
            <Icon name="chat" /><span class="sr">{text.questions}</span>{open > 0 && <span class="dot num">{open}</span>}
          </button>
        )}
        <Hearts here={here} asMember={asMember} />
      </form>
    </div>
  );
}

function mutedWords(untilMs: number, nowMs: number): string {
  if (untilMs === -1) return text.muted_live;
  // To the second near the end, to the minute of the clock before: both by the server's time.
  return fill(text.muted_until, { at: clockTime(untilMs), left: countdown(untilMs - nowMs) });
}
