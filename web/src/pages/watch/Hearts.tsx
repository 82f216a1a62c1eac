import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { count } from "../../i18n/format";
import { Icon } from "../../ui/icons";
import type { Connected } from "./store";
import { text } from "./texts";

const KIND = "heart";
const FLYING_MAX = 12;
const FLIGHT_MS = 1_900;
/** A storm of taps is one tap per this long on the wire. */
const TELL_EVERY_MS = 180;

interface HeartsProps {
  here: Connected;
  asMember: (write: () => void) => void;
}

/** The heart button, and the hearts of everybody rising from it. */
export function Hearts({ here }: HeartsProps): JSX.Element {
  const total = here.room.value.reactions.get(KIND) ?? 0;
  const [flying, setFlying] = useState<readonly number[]>([]);
  const seen = useRef<number | null>(null);
  const toldAt = useRef(0);
  const nextId = useRef(1);

  const fly = (hearts: number): void => {
    const born = Array.from({ length: Math.min(hearts, 4) }, () => nextId.current++);
    setFlying((now) => [...now, ...born].slice(-FLYING_MAX));
    setTimeout(() => setFlying((now) => now.filter((id) => !born.includes(id))), FLIGHT_MS);
  };

  useEffect(() => {
    // The total at arrival is history; what is added from then on flies.
    if (seen.current !== null && total > seen.current) fly(total - seen.current);
    if (here.room.value.position !== null) seen.current = total;
  }, [total]);

  const tap = (): void => {
    fly(1);
    if (performance.now() - toldAt.current < TELL_EVERY_MS) return;
    toldAt.current = performance.now();
    here.hub.tell({ kind: "react", reaction: KIND });
  };

  return (
    <span class="hearts">
      <button type="button" class="icon-btn heart" aria-label={text.react} data-testid="react" data-total={total} onClick={tap}><Icon name="heart" fill /></button>
      {total > 0 && <span class="sum num" aria-hidden="true">{count(total)}</span>}
      <span class="sky" aria-hidden="true">
        {flying.map((id) => <span key={id} class="flying" style={{ "--drift": `${((id * 37) % 50) - 25}px` }}><Icon name="heart" fill /></span>)}
      </span>
    </span>
  );
}
