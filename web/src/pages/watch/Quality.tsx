import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Layer, WhepPlayer } from "../../media/whep";
import { text } from "./texts";

interface QualityProps {
  player: WhepPlayer;
  /** Whatever changes when there may be other sizes to choose from. */
  since: unknown;
}

/** All who watch would ask at once when a picture begins or turns; they spread over this time. */
const ASK_WITHIN_MS = 4_000;
const ASK_AFTER_MS = 1_500;

/** Chooses how large the picture is, where it comes in more than one size. */
export function Quality({ player, since }: QualityProps): JSX.Element | null {
  const [sizes, setSizes] = useState(0);
  const [chosen, setChosen] = useState<Layer>("auto");

  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      void player.layers().then((found) => {
        if (!wanted || found === null) return;
        setSizes(found.layers);
        setChosen(found.chosen);
      });
    }, ASK_AFTER_MS + Math.random() * ASK_WITHIN_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [player, since]);

  // What was chosen must be seen and can be taken back, even while there is but one size.
  if (sizes < 2 && chosen === "auto") return null;
  const choose = (layer: Layer): void => {
    setChosen(layer);
    void player.choose(layer);
  };
  return (
    <select class="quality on-video" aria-label={text.quality} value={chosen} data-testid="quality"
      onChange={(event) => choose(event.currentTarget.value as Layer)}>
      <option value="auto">{text.quality_auto}</option>
      <option value="high">{text.quality_high}</option>
      {(sizes > 2 || chosen === "middle") && <option value="middle">{text.quality_middle}</option>}
      <option value="low">{text.quality_low}</option>
    </select>
  );
}
