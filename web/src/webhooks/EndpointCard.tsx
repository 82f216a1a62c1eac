import type { ComponentChildren, JSX } from "preact";
import type { Endpoint } from "../api/webhooks";
import { count, dateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { hooks as text } from "./texts";

export type Act = "test" | "pause" | "resume" | "change" | "renew" | "remove";

const LOOK = { active: "tag ok", paused: "tag soon", disabled: "tag live plain" } as const;

interface EndpointCardProps {
  endpoint: Endpoint;
  busy: boolean;
  open: boolean;
  onOpen: () => void;
  onAct: (what: Act) => void;
  /** Its deliveries, while they are open. */
  children: ComponentChildren;
}

export function EndpointCard({ endpoint: of, busy, open, onOpen, onAct, children }: EndpointCardProps): JSX.Element {
  const titleId = `endpoint-${of.endpoint_id}`;
  const act = (what: Act, look: string, more: { disabled?: boolean } = {}): JSX.Element => (
    <button type="button" class={`btn small ${look}`} disabled={busy || more.disabled === true} data-testid={`endpoint-${what}`} onClick={() => onAct(what)}>{text[what]}</button>
  );
  return (
    <article class={`card panel stack endpoint ${of.state}`} aria-labelledby={titleId} data-testid="endpoint" data-endpoint={of.endpoint_id} data-state={of.state} data-because={of.disabled_because ?? ""}>
      <div class="row wrap spread">
        <div class="grow">
          <h2 id={titleId}>{of.description === "" ? text.nameless : of.description}</h2>
          <p class="address">{of.url}</p>
        </div>
        <p class="row wrap">
          {of.state === "active" && of.failing_since_ms !== null && <span class="tag live plain">{text.failing}</span>}
          <span class={LOOK[of.state]}>{text[`state_${of.state}`]}</span>
        </p>
      </div>
      <Notices of={of} />
      <dl class="row wrap small num hook-facts">
        <div><dt>{text.listens}</dt><dd class="row wrap">{of.events.map((event) => <span key={event} class="tag" title={event}>{text[event]}</span>)}</dd></div>
        <div><dt>{text.delivered}</dt><dd data-testid="delivered-at">{of.delivered_at_ms === null ? text.never : dateTime(of.delivered_at_ms)}</dd></div>
        <div><dt>{text.waiting}</dt><dd data-testid="endpoint-waiting">{count(of.waiting)}</dd></div>
        <div><dt>{text.failed}</dt><dd class={of.failed > 0 ? "failure" : ""} data-testid="endpoint-failed">{count(of.failed)}</dd></div>
        <div><dt>{text.created}</dt><dd>{dateTime(of.created_at_ms)}</dd></div>
      </dl>
      <div class="row wrap acts" role="group" aria-label={fill(text.acts, { url: of.url })}>
        <button type="button" class="btn small" aria-expanded={open} data-testid="endpoint-deliveries" onClick={onOpen}>{text.deliveries}<span aria-hidden="true">{open ? " ▴" : " ▾"}</span></button>
        {act("test", "", { disabled: of.state !== "active" })}
        {of.state === "active" ? act("pause", "") : act("resume", "ink")}
        {act("change", "")}
        {act("renew", "")}
        {act("remove", "danger")}
      </div>
      {open && children}
    </article>
  );
}

/** What should be known before anything else. */
function Notices({ of }: { of: Endpoint }): JSX.Element {
  return (
    <>
      {of.state === "disabled" && <p class="notice bad" data-testid="endpoint-disabled">{of.disabled_because === "gone" ? text.because_gone : text.because_failing}</p>}
      {of.state === "active" && of.failing_since_ms !== null && <p class="notice bad" data-testid="endpoint-failing">{fill(text.failing_since, { at: dateTime(of.failing_since_ms) })}</p>}
      {of.state === "paused" && <p class="notice">{text.paused_text}</p>}
      {of.old_secret_until_ms !== null && <p class="notice gold" data-testid="endpoint-old-secret">{fill(text.old_secret, { at: dateTime(of.old_secret_until_ms) })}</p>}
    </>
  );
}
