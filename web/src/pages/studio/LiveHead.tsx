import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import type { Live } from "../../api/types";
import { explain } from "../../api/problem-texts";
import { count, dateTime, money } from "../../i18n/format";
import { Sheet } from "../../ui/Sheet";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import { PrLabelField } from "./PrLabelField";
import { share } from "./share-texts";
import { ShareSheet } from "./ShareSheet";
import type { Desk } from "./store";
import { text } from "./texts";
import type { SalesView } from "./useSales";

interface LiveHeadProps {
  at: Desk;
  live: Live;
  sales: SalesView;
  onChanged: () => void;
}

/** What the liver needs at a glance: on air or not, who watches, what was sold. */
export function LiveHead({ at, live, sales, onChanged }: LiveHeadProps): JSX.Element {
  const [editing, setEditing] = useState(false);
  const [sharing, setSharing] = useState(false);
  const room = at.room.value;
  const state = room.live?.state ?? live.state;
  const title = room.live?.title ?? live.title;
  const prLabel = room.live?.prLabel ?? live.pr_label ?? "";
  const figure = (label: string, value: string, testId: string): JSX.Element => (
    <div class="figure"><span class="small muted">{label}</span><strong class="num" data-testid={testId}>{value}</strong></div>
  );
  return (
    <header class="studio-head">
      <div class="grow">
        <p class="row wrap">
          {state === "live" && <span class="tag live" data-testid="studio-on-air">{words.on_air}</span>}
          {state === "scheduled" && <span class="tag soon" data-testid="studio-scheduled">{words.scheduled} {dateTime(live.scheduled_at_ms)}</span>}
          {state === "ended" && <span class="tag" data-testid="studio-ended">{words.ended}</span>}
          {prLabel === ""
            ? <button type="button" class="btn small" data-testid="edit-pr" onClick={() => setEditing(true)}>＋ {text.pr_label}</button>
            : <button type="button" class="tag pr" data-testid="edit-pr" onClick={() => setEditing(true)}>{prLabel}</button>}
          {at.status.value !== "ready" && room.position !== null && <span class="tag">{text.state_reconnecting}</span>}
        </p>
        <h1 class="clip">{title}</h1>
        <a class="small" href={live.watch_path} target="_blank" rel="noopener" data-testid="watch-link">{text.watch} ↗</a>
        {" "}<button type="button" class="btn quiet small" data-testid="share" onClick={() => setSharing(true)}>{share.open}</button>
      </div>
      <div class="figures">
        {figure(text.viewers, count(sales.viewers), "studio-viewers")}
        {figure(text.peak, count(sales.peak_viewers), "studio-peak")}
        {figure(text.orders, count(sales.orders), "studio-orders")}
        {figure(text.gross, money(sales.gross_minor, sales.currency), "studio-gross")}
      </div>
      {sharing && <ShareSheet liveId={live.id} watchPath={live.watch_path} onClose={() => setSharing(false)} />}
      {editing && <EditPr live={live} label={prLabel} onClose={() => { setEditing(false); onChanged(); }} />}
    </header>
  );
}

function EditPr({ live, label, onClose }: { live: Live; label: string; onClose: () => void }): JSX.Element {
  const [value, setValue] = useState(label);
  return (
    <Sheet title={text.pr_label} onClose={onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        api.patch<Live>(`/v1/lives/${seg(live.id)}`, { pr_label: value.trim() }).then(onClose, (thrown: unknown) => toast(explain(thrown), true));
      }}>
        <PrLabelField value={value} onChange={setValue} brandName={live.tie_up_brand_name ?? ""} required={live.tie_up_brand_id !== null} />
        <button type="submit" class="btn primary wide" data-testid="save-pr">{words.save}</button>
      </form>
    </Sheet>
  );
}
