import type { JSX } from "preact";
import type { Live } from "../../api/types";
import { countdown, dateTime } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import mon from "../../assets/mon.svg";
import { words } from "../../ui/words";
import type { Visit } from "./store";
import { text } from "./texts";
import { useClock } from "./useClock";

interface MediaCardProps {
  here: Visit;
  rest: Live | null;
  /** Frames are arriving right now. */
  moving: boolean;
}

/** What stands on the stage when there is no picture: scheduled, one moment, ended. */
export function MediaCard({ here, rest, moving }: MediaCardProps): JSX.Element | null {
  const room = here.room.value.live;
  const state = room?.state ?? rest?.state ?? null;
  const media = room?.media ?? rest?.media ?? null;
  const scheduledAtMs = room?.scheduledAtMs ?? rest?.scheduled_at_ms ?? 0;
  const now = useClock(here.hub.clock, state === "scheduled" ? scheduledAtMs : 0);

  if (state === "ended") {
    return (
      <div class="media-card" role="status" data-testid="ended">
        <img src={mon} alt="" width="56" height="56" />
        <h2>{text.ended_title}</h2>
        <p>{text.ended_text}</p>
        <a class="btn" href="/">{words.to_lives}</a>
      </div>
    );
  }
  if (moving && media !== "away") return null;
  if (state === "scheduled") {
    return (
      <div class="media-card" role="status" data-testid="scheduled">
        <img src={mon} alt="" width="56" height="56" />
        <h2>{fill(text.scheduled_at, { at: dateTime(scheduledAtMs) })}</h2>
        {scheduledAtMs > now && <p class="num" aria-hidden="true">{fill(text.starts_in, { left: countdown(scheduledAtMs - now) })}</p>}
      </div>
    );
  }
  if (state === "live" && here.picture.value === "refused") {
    return (
      <div class="media-card" role="alert">
        <h2>{text.refused}</h2>
        <button type="button" class="btn" onClick={() => here.player.restart()}>{words.retry}</button>
      </div>
    );
  }
  if (state === "live" && media !== "up") {
    return (
      <div class="media-card" role="status" data-testid="one-moment">
        <img src={mon} alt="" width="56" height="56" class="breathing" />
        <h2>{text.wait}</h2>
        <p>{media === "away" ? text.wait_away : text.wait_none}</p>
      </div>
    );
  }
  return <div class="media-card plain" role="status" aria-label={words.loading}><span class="spinner" /></div>;
}
