import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import type { ChatMessage } from "../../hub/model";
import type { Room } from "../../hub/room";
import { fill } from "../../i18n/phrases";
import type { Target } from "../../moderation/tools";
import { text as tool } from "../../moderation/texts";
import { Icon } from "../../ui/icons";
import { words } from "../../ui/words";
import { PinnedLine } from "./PinnedLine";
import { text } from "./texts";

interface ChatListProps {
  room: ReadonlySignal<Room>;
  /** Above the picture: fewer lines, no ground of its own. */
  overlay?: boolean;
  /** For who keeps order: opens what can be done about a line. */
  onTools?: ((target: Target) => void) | undefined;
}

const OVERLAY_LINES = 40;

export function ChatList({ room, overlay = false, onTools }: ChatListProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const hint = useId();
  const lines = overlay ? room.value.chat.slice(-OVERLAY_LINES) : room.value.chat;
  const last = lines.at(-1)?.id;
  const pinned = room.value.chatPinned.message;

  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null && following.current) element.scrollTop = element.scrollHeight;
  }, [last]);

  return (
    <>
      <div aria-live="polite" class="pinned-place">{pinned !== null && <PinnedLine line={pinned} overlay={overlay} onTools={onTools} />}</div>
      <div ref={box} class={overlay ? "chat overlay" : "chat"} role="log" aria-label={text.chat} tabIndex={0} data-testid="chat"
        aria-describedby={onTools === undefined ? undefined : hint}
        onKeyDown={onTools === undefined ? undefined : alongLines}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          // Who reads back is not dragged to the newest line.
          following.current = scrollHeight - clientHeight - scrollTop < 40;
        }}>
        {onTools !== undefined && <span id={hint} hidden>{tool.tools_hint}</span>}
        {lines.length === 0 && !overlay && <p class="muted small">{text.no_chat}</p>}
        {lines.map((line) => <Line key={line.id} line={line} onTools={onTools} />)}
      </div>
    </>
  );
}

function Line({ line, onTools }: { line: ChatMessage; onTools: ((target: Target) => void) | undefined }): JSX.Element {
  return (
    <p class={`line ${line.authorRole}`} data-testid="chat-line" data-chat={line.id}>
      <span class="name">
        {line.authorName}
        <RoleMark line={line} />
        {line.demo && <span class="role demo">{words.demo}</span>}
      </span>
      <span class="said">{line.text}</span>
      {onTools !== undefined && (
        // One stop for the Tab key is the whole chat; the arrows go along its lines.
        <button type="button" class="line-tools" tabIndex={-1} aria-haspopup="dialog" aria-label={fill(tool.tools, { name: line.authorName })}
          data-testid="line-tools" onClick={() => onTools({ kind: "line", line })}><Icon name="more" /></button>
      )}
    </p>
  );
}

export function RoleMark({ line }: { line: ChatMessage }): JSX.Element | null {
  if (line.authorRole === "liver") return <span class="role">{text.liver}</span>;
  return line.authorRole === "moderator" ? <span class="role moderator">{text.moderator}</span> : null;
}

/** Up and down among the lines' buttons, from the newest on. */
function alongLines(event: KeyboardEvent): void {
  const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
  if (step === 0 || !(event.currentTarget instanceof HTMLElement)) return;
  const buttons = [...event.currentTarget.querySelectorAll<HTMLButtonElement>(".line-tools")];
  const at = buttons.findIndex((button) => button === document.activeElement);
  const next = at === -1 ? buttons.at(-1) : buttons[at + step];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}
