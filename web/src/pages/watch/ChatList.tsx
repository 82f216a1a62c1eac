import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { ChatMessage } from "../../hub/model";
import type { Room } from "../../hub/room";
import { words } from "../../ui/words";
import { text } from "./texts";

interface ChatListProps {
  room: ReadonlySignal<Room>;
  /** Above the picture: fewer lines, no ground of its own. */
  overlay?: boolean;
}

const OVERLAY_LINES = 40;

export function ChatList({ room, overlay = false }: ChatListProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const lines = overlay ? room.value.chat.slice(-OVERLAY_LINES) : room.value.chat;
  const last = lines.at(-1)?.id;

  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null && following.current) element.scrollTop = element.scrollHeight;
  }, [last]);

  return (
    <div ref={box} class={overlay ? "chat overlay" : "chat"} role="log" aria-label={text.chat} tabIndex={0} data-testid="chat"
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        // Who reads back is not dragged to the newest line.
        following.current = scrollHeight - clientHeight - scrollTop < 40;
      }}>
      {lines.length === 0 && !overlay && <p class="muted small">{text.no_chat}</p>}
      {lines.map((line) => <Line key={line.id} line={line} />)}
    </div>
  );
}

function Line({ line }: { line: ChatMessage }): JSX.Element {
  return (
    <p class={`line ${line.authorRole}`} data-testid="chat-line">
      <span class="name">
        {line.authorName}
        {line.authorRole === "liver" && <span class="role">{text.liver}</span>}
        {line.authorRole === "moderator" && <span class="role">{text.moderator}</span>}
        {line.demo && <span class="role demo">{words.demo}</span>}
      </span>
      <span class="said">{line.text}</span>
    </p>
  );
}
