import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import { explainFully } from "../../api/problem-texts";
import type { ImportReport, Location, Page } from "../../api/types";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { isChecked, isSame, type Checked, type Choice } from "./import-steps";
import { csv } from "./import-texts";
import { ImportResult } from "./ImportResult";

export function ImportPanel({ brandId }: { brandId: string }): JSX.Element {
  const locations = useLoad(() => api.get<Page<Location>>("/v1/locations"), []);
  const [content, setContent] = useState<ArrayBuffer | null>(null);
  const [chosenId, setChosenId] = useState<string | null>(null);
  const [busy, setBusy] = useState<"checking" | "running" | null>(null);
  const [last, setLast] = useState<Checked | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  const places = locations.value?.items ?? [];
  const locationId = chosenId ?? (places.find((place) => place.kind === "warehouse") ?? places[0])?.id ?? null;
  const choice: Choice | null = content === null || locationId === null ? null : { content, locationId };
  const shown = choice !== null && last !== null && isSame(choice, last.choice) ? last.report : null;

  const choose = (file: File | undefined): void => {
    setContent(null);
    setProblem(null);
    file?.arrayBuffer().then(setContent, () => setProblem(csv.unreadable));
  };
  const send = (dryRun: boolean): void => {
    if (choice === null || busy !== null) return;
    setBusy(dryRun ? "checking" : "running");
    setProblem(null);
    setLast(null);
    const path = withQuery(`/v1/brands/${seg(brandId)}/import`, { location_id: choice.locationId, dry_run: String(dryRun) });
    api.upload<ImportReport>(path, { type: "text/csv", content: choice.content })
      .then((report) => setLast({ choice, report }), (thrown: unknown) => setProblem(explainFully(thrown)))
      .finally(() => setBusy(null));
  };

  return (
    <section class="card panel import" aria-labelledby="import-title" data-testid="import">
      <h2 id="import-title">{csv.title}</h2>
      <p class="small muted">{csv.lead}</p>
      {locations.problem !== null && <Failed problem={locations.problem} onRetry={locations.reload} />}
      {locations.value === null && locations.problem === null && <Loading lines={1} />}
      {locations.value !== null && places.length === 0 && <p class="notice">{csv.no_locations}</p>}
      {locationId !== null && (
        <form class="stack" onSubmit={(event) => { event.preventDefault(); send(true); }}>
          <div class="import-fields">
            <label class="field"><span>{csv.file}</span>
              <input class="input" type="file" accept=".csv,text/csv" required disabled={busy !== null} data-testid="import-file"
                onChange={(event) => choose(event.currentTarget.files?.[0])} />
            </label>
            <label class="field"><span>{csv.location}</span>
              <select class="input" value={locationId} disabled={busy !== null} data-testid="import-location" onChange={(event) => setChosenId(event.currentTarget.value)}>
                {places.map((place) => <option key={place.id} value={place.id}>{place.name}</option>)}
              </select>
            </label>
          </div>
          <div class="row wrap">
            <button type="submit" class="btn" disabled={choice === null || busy !== null} data-testid="import-check">{csv.check}</button>
            <button type="button" class="btn primary" disabled={!isChecked(choice, last) || busy !== null} aria-describedby="import-hint"
              data-testid="import-run" onClick={() => send(false)}>{csv.run}</button>
            <span id="import-hint" class="small muted">{isChecked(choice, last) ? "" : csv.check_first}</span>
          </div>
        </form>
      )}
      <div role="status">
        {busy !== null && <p class="row"><span class="spinner" /><span>{csv[busy]}</span></p>}
        {shown !== null && <h3>{shown.dry_run ? csv.checked : csv.done}</h3>}
      </div>
      {shown !== null && <ImportResult report={shown} />}
      {problem !== null && <p class="notice bad" role="alert" data-testid="import-problem">{problem}</p>}
    </section>
  );
}
