import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../api/client";
import { demo } from "../../api/session";
import type { Live } from "../../api/types";
import { explain } from "../../api/problem-texts";
import { uuid } from "../../purchase/uuid";
import { navigate } from "../../ui/router";
import { PrLabelField } from "./PrLabelField";
import { text } from "./texts";

const LEAD_MS = 10 * 60_000;

/** `datetime-local` speaks the device's own time, without a zone. */
function localInput(atMs: number): string {
  const date = new Date(atMs);
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** `known`: the liver's lives so far, which name the brands it has worked with. */
export function ScheduleForm({ known }: { known: readonly Live[] }): JSX.Element {
  const [title, setTitle] = useState("");
  const [at, setAt] = useState(() => localInput(Date.now() + LEAD_MS));
  const [brandId, setBrandId] = useState("");
  const [prLabel, setPrLabel] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const [key, setKey] = useState(uuid);

  const brands = new Map<string, string>();
  for (const live of known) if (live.tie_up_brand_id !== null) brands.set(live.tie_up_brand_id, live.tie_up_brand_name ?? "");
  if (demo.value?.brand_id != null && !brands.has(demo.value.brand_id)) brands.set(demo.value.brand_id, "");

  const create = (): void => {
    setBusy(true);
    setProblem(null);
    api.post<Live>("/v1/lives", {
      title: title.trim(),
      scheduled_at_ms: new Date(at).getTime(),
      ...(brandId.trim() === "" ? {} : { tie_up_brand_id: brandId.trim() }),
      ...(prLabel.trim() === "" ? {} : { pr_label: prLabel.trim() }),
    }, { idempotencyKey: key }).then(
      (live) => navigate(`/studio/${live.id}`),
      (thrown: unknown) => {
        setProblem(thrown);
        // The next try may say something else, and a key stands for one body.
        setKey(uuid());
      },
    ).finally(() => setBusy(false));
  };

  return (
    <form class="card panel stack" data-testid="schedule-form" onSubmit={(event) => { event.preventDefault(); create(); }}>
      <h2>{text.schedule}</h2>
      <label class="field"><span>{text.live_title}</span>
        <input class="input" required maxLength={80} value={title} placeholder={text.live_title_hint} data-testid="schedule-title"
          onInput={(event) => setTitle(event.currentTarget.value)} />
      </label>
      <label class="field"><span>{text.at}</span>
        <input class="input" type="datetime-local" required value={at} data-testid="schedule-at" onInput={(event) => setAt(event.currentTarget.value)} />
      </label>
      <label class="field"><span>{text.tie_up}</span>
        <input class="input" list="brands" value={brandId} placeholder="brd_…" data-testid="schedule-brand" onInput={(event) => setBrandId(event.currentTarget.value)} />
        <datalist id="brands">{[...brands].map(([id, name]) => <option key={id} value={id}>{name}</option>)}</datalist>
      </label>
      <PrLabelField value={prLabel} onChange={setPrLabel} brandName={brands.get(brandId) ?? ""} required={brandId.trim() !== ""} />
      {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
      <button type="submit" class="btn primary wide" disabled={busy} data-testid="schedule-submit">{text.create}</button>
    </form>
  );
}
