import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../../api/problem-texts";
import { touches, type ShareLink } from "../../api/touches";
import { uuid } from "../../purchase/uuid";
import { copy } from "../../ui/copy";
import { Sheet } from "../../ui/Sheet";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { share as text } from "./share-texts";

interface ShareSheetProps {
  liveId: string;
  watchPath: string;
  onClose: () => void;
}

/** Links whose followers are counted, by campaign. */
export function ShareSheet({ liveId, watchPath, onClose }: ShareSheetProps): JSX.Element {
  const links = useLoad(() => touches.links(liveId), [liveId]);
  const [campaign, setCampaign] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const make = (): void => {
    setBusy(true);
    setProblem(null);
    touches.makeLink(liveId, campaign.trim(), uuid()).then((link) => {
      setCampaign("");
      links.reload();
      void copy(address(link, watchPath));
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text.title} onClose={onClose} testId="share-sheet">
      <div class="stack">
        <p class="small muted">{text.lead}</p>
        <form class="stack" onSubmit={(event) => { event.preventDefault(); make(); }}>
          <label class="field"><span>{text.campaign}</span>
            <input class="input" maxLength={40} value={campaign} placeholder={text.campaign_hint} disabled={busy} data-testid="share-campaign" onInput={(event) => setCampaign(event.currentTarget.value)} />
          </label>
          {problem !== null && <p class="notice bad" role="alert">{problem}</p>}
          <button type="submit" class="btn primary wide" disabled={busy} data-testid="share-make">{text.make}</button>
        </form>
        {links.problem !== null && <Failed problem={links.problem} onRetry={links.reload} />}
        {links.value === null && links.problem === null && <Loading lines={1} />}
        <ul class="stack" aria-label={text.title}>{links.value?.map((link) => (
          <li key={link.code} class="row spread" data-testid="share-link" data-code={link.code}>
            <span class="grow"><strong>{link.campaign ?? text.no_campaign}</strong><br /><span class="small muted share-address">{address(link, watchPath)}</span></span>
            <button type="button" class="btn small" onClick={() => void copy(address(link, watchPath))}>{words.copy}</button>
          </li>
        ))}</ul>
      </div>
    </Sheet>
  );
}

function address(link: Pick<ShareLink, "code">, watchPath: string): string {
  return `${location.origin}${watchPath}?via=${encodeURIComponent(link.code)}`;
}
