import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { DELIVERY_STATES, webhooks, type Endpoint, type NewSecret } from "../../api/webhooks";
import { fill } from "../../i18n/phrases";
import { uuid } from "../../purchase/uuid";
import { Icon } from "../../ui/icons";
import { query, setQuery } from "../../ui/router";
import { Empty, Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { Deliveries } from "../../webhooks/Deliveries";
import { EndpointCard, type Act } from "../../webhooks/EndpointCard";
import { ENDPOINTS_MAX } from "../../webhooks/endpoints";
import { EndpointSheet } from "../../webhooks/EndpointSheet";
import { SecretSheet } from "../../webhooks/SecretSheet";
import { SureSheet } from "../../webhooks/SureSheet";
import { hooks as text } from "../../webhooks/texts";
import { Verify } from "../../webhooks/Verify";
import { refusalWords } from "../../webhooks/words-of";
import "../../webhooks/webhooks.css";

const REFRESH_MS = 5_000;

type Opened = { what: "add" } | { what: "change" | "renew" | "remove"; endpoint: Endpoint } | { what: "secret"; made: NewSecret };

/** Where a brand's systems are told, and what became of it. */
export function WebhooksView({ brandId }: { brandId: string }): JSX.Element {
  const known = useLoad(() => webhooks.list(brandId), [brandId], REFRESH_MS);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [busy, setBusy] = useState(false);
  const [followed, setFollowed] = useState<string | null>(null);
  const asked = new URLSearchParams(query.value);
  const shownId = asked.get("endpoint");
  const state = DELIVERY_STATES.find((one) => one === asked.get("deliveries")) ?? null;
  const items = known.value;
  const full = items !== null && items.length >= ENDPOINTS_MAX;
  const done = (message: string): void => {
    toast(message);
    setOpened(null);
    known.reload();
  };
  const secret = (made: NewSecret): void => {
    setOpened({ what: "secret", made });
    known.reload();
  };
  const test = async (of: Endpoint): Promise<void> => {
    const sent = await webhooks.test(of.endpoint_id, uuid());
    setQuery({ endpoint: of.endpoint_id, deliveries: null });
    setFollowed(sent.message_id);
    toast(text.tested);
  };
  const turn = async (of: Endpoint, to: "active" | "paused"): Promise<void> => {
    await webhooks.change(of.endpoint_id, { state: to });
    toast(to === "active" ? text.resumed_done : text.paused_done);
  };
  const act = (of: Endpoint, what: Act): void => {
    if (what === "change" || what === "renew" || what === "remove") {
      setOpened({ what, endpoint: of });
      return;
    }
    setBusy(true);
    (what === "test" ? test(of) : turn(of, what === "resume" ? "active" : "paused"))
      .catch((thrown: unknown) => toast(refusalWords(thrown), true))
      .finally(() => {
        setBusy(false);
        known.reload();
      });
  };
  return (
    <section class="stack webhooks" aria-labelledby="webhooks-title" data-testid="brand-webhooks">
      <div class="row wrap spread">
        <div><h1 id="webhooks-title">{text.title}</h1><p class="muted">{text.lead}</p></div>
        <div class="row wrap">
          {full && <span class="small muted" id="endpoints-full">{fill(text.full, { n: ENDPOINTS_MAX })}</span>}
          <button type="button" class="btn ink" disabled={items === null || full} aria-describedby={full ? "endpoints-full" : undefined} data-testid="endpoint-add" onClick={() => setOpened({ what: "add" })}><Icon name="plus" />{text.add}</button>
        </div>
      </div>
      {known.problem !== null && <Failed problem={known.problem} onRetry={known.reload} />}
      {items === null && known.problem === null && <Loading lines={2} />}
      {items !== null && items.length === 0 && <div class="card"><Empty icon="send">{text.none}</Empty></div>}
      {items !== null && items.length > 0 && (
        <ul class="stack">{items.map((one) => (
          <li key={one.endpoint_id}>
            <EndpointCard endpoint={one} busy={busy} open={one.endpoint_id === shownId} onAct={(what) => act(one, what)}
              onOpen={() => setQuery({ endpoint: one.endpoint_id === shownId ? null : one.endpoint_id, deliveries: null })}>
              <Deliveries key={`${one.endpoint_id} ${state}`} endpoint={one} state={state} followed={followed} onFollow={setFollowed} onChanged={known.reload} />
            </EndpointCard>
          </li>
        ))}</ul>
      )}
      <details class="card panel fold" data-testid="verify"><summary>{text.verify}</summary><Verify /></details>
      {opened !== null && (opened.what === "add" || opened.what === "change") && (
        <EndpointSheet brandId={brandId} endpoint={opened.what === "add" ? null : opened.endpoint} onClose={() => setOpened(null)} onAdded={secret} onChanged={() => done(text.changed)} />
      )}
      {opened !== null && (opened.what === "renew" || opened.what === "remove") && (
        <SureSheet what={opened.what} endpoint={opened.endpoint} onClose={() => setOpened(null)} onRenewed={secret} onRemoved={() => done(text.removed)} />
      )}
      {opened?.what === "secret" && <SecretSheet of={opened.made} onClose={() => setOpened(null)} />}
    </section>
  );
}
