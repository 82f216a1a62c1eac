import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Live, StreamKey } from "../../api/types";
import { copy } from "../../ui/copy";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import type { Desk } from "./store";
import { text } from "./texts";

interface ObsPanelProps {
  at: Desk;
  live: Live;
  onChanged: () => void;
}

export function ObsPanel({ at, live, onChanged }: ObsPanelProps): JSX.Element | null {
  const [key, setKey] = useState<StreamKey | null>(null);
  const [busy, setBusy] = useState(false);
  const room = at.room.value.live;
  const state = room?.state ?? live.state;
  const media = room?.media ?? live.media;
  if (state === "ended") return null;

  const run = (work: () => Promise<void>): void => {
    setBusy(true);
    work().catch((thrown: unknown) => toast(explain(thrown), true)).finally(() => setBusy(false));
  };
  const make = (): void => run(async () => setKey(await api.post<StreamKey>(`/v1/lives/${seg(live.id)}/stream-key`)));
  const start = (): void => run(async () => {
    await api.post<Live>(`/v1/lives/${seg(live.id)}/start`);
    onChanged();
  });
  const line = (label: string, value: string, testId: string): JSX.Element => (
    <div class="field"><span>{label}</span>
      <div class="row"><code class="grow clip" data-testid={testId}>{value}</code>
        <button type="button" class="btn small" aria-label={`${words.copy}: ${label}`} onClick={() => void copy(value)}>{words.copy}</button></div>
    </div>
  );
  return (
    <details class="card panel obs">
      <summary data-testid="obs">{text.obs}</summary>
      <div class="stack">
        <p class="small muted">{text.obs_lead}</p>
        {key !== null && (
          <>
            {line(text.obs_server, new URL(key.whip_url, location.href).href, "whip-url")}
            {line(text.obs_key, key.stream_key, "stream-key")}
            <p class={media === "up" ? "notice good" : "notice"} role="status">{media === "up" ? text.obs_ready : text.obs_waiting}</p>
          </>
        )}
        <p class="small muted">{text.obs_note}</p>
        <div class="row wrap">
          <button type="button" class="btn small" disabled={busy} data-testid="make-key" onClick={make}>{key === null ? text.obs_make : text.obs_renew}</button>
          {state === "scheduled" && media === "up" && (
            <button type="button" class="btn primary small" disabled={busy} data-testid="go-live-obs" onClick={start}>{text.start}</button>
          )}
        </div>
      </div>
    </details>
  );
}
