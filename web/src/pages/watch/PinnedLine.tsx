import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ChatMessage } from "../../hub/model";
import { fill } from "../../i18n/phrases";
import type { Target } from "../../moderation/tools";
import { text as tool } from "../../moderation/texts";
import { Icon } from "../../ui/icons";
import { RoleMark } from "./ChatList";
import { text } from "./texts";

interface PinnedLineProps {
  line: ChatMessage;
  overlay: boolean;
  onTools?: ((target: Target) => void) | undefined;
}

/** The line that stays on top of the chat; a long one opens at a tap. */
export function PinnedLine({ line, overlay, onTools }: PinnedLineProps): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <div class={overlay ? "pinned-line overlay" : "pinned-line"} data-testid="pinned-line" data-chat={line.id}>
      <button type="button" class={open ? "what open" : "what"} aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="mark"><Icon name="pin" />{text.pinned_line}</span>
        <span class="name">{line.authorName}<RoleMark line={line} /></span>
        <span class="said">{line.text}</span>
      </button>
      {onTools !== undefined && (
        <button type="button" class="line-tools" aria-haspopup="dialog" aria-label={fill(tool.tools, { name: line.authorName })}
          data-testid="pinned-tools" onClick={() => onTools({ kind: "line", line })}><Icon name="more" /></button>
      )}
    </div>
  );
}
