import type { JSX } from "preact";
import { me } from "../../api/session";
import type { Live } from "../../api/types";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { Icon } from "../../ui/icons";
import { LanguageSwitch } from "../../ui/LanguageSwitch";
import { words } from "../../ui/words";
import { FollowButton } from "./FollowButton";
import type { Visit } from "./store";
import { text } from "./texts";

interface TopBarProps {
  here: Visit;
  rest: Live | null;
  asMember: (write: () => void) => void;
  onOrders: () => void;
}

export function TopBar({ here, rest, asMember, onOrders }: TopBarProps): JSX.Element {
  const room = here.room.value;
  const state = room.live?.state ?? rest?.state;
  const liver = room.live?.liverName ?? rest?.liver_name ?? "";
  const title = room.live?.title ?? rest?.title ?? "";
  const prLabel = room.live?.prLabel ?? rest?.pr_label ?? "";
  const isDemo = room.live?.demo ?? rest?.demo ?? false;
  const viewers = room.position === null ? (rest?.viewers ?? 0) : room.viewers;
  return (
    <div class="top">
      <div class="row">
        <a class="icon-btn on-video" href="/" aria-label={text.back} data-testid="back"><Icon name="back" /></a>
        <div class="grow who">
          <h1 class="clip" data-testid="live-title">{title === "" ? "…" : title}</h1>
          <div class="row"><p class="clip">{liver}</p><FollowButton here={here} asMember={asMember} look="on-video" /></div>
        </div>
        <LanguageSwitch />
        {me.value !== undefined && (
          <button type="button" class="icon-btn on-video" aria-label={text.orders} data-testid="my-orders" onClick={onOrders}><Icon name="bag" /></button>
        )}
      </div>
      <div class="row wrap badges">
        {state === "live" && <span class="tag live" data-testid="on-air">{words.on_air}</span>}
        {state === "ended" && <span class="tag">{words.ended}</span>}
        {state === "live" && (
          <span class="tag glass num" data-testid="viewer-count" data-viewers={viewers} aria-label={fill(text.viewers, { n: count(viewers) })}>
            <Icon name="eye" />{count(viewers)}
          </span>
        )}
        {/* The label is the law's (ステマ規制): it stays whatever else the page shows. */}
        {prLabel !== "" && <span class="tag pr" data-testid="pr-label">{prLabel}</span>}
        {isDemo && <span class="tag demo">{words.demo}</span>}
        {here.status.value !== "ready" && room.position !== null && state !== "ended" && (
          <span class="tag glass" role="status"><span class="spinner tiny" />{text.reconnecting}</span>
        )}
      </div>
    </div>
  );
}
