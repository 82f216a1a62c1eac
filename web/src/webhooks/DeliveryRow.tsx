import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { webhooks, type Delivery } from "../api/webhooks";
import { dateTime } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { copy } from "../ui/copy";
import { Failed, Loading } from "../ui/states";
import { useLoad } from "../ui/useLoad";
import { pretty } from "./endpoints";
import { hooks as text } from "./texts";
import { courseWords } from "./words-of";

const LOOK = { waiting: "tag soon", delivered: "tag ok", failed: "tag live plain" } as const;

interface DeliveryRowProps {
  delivery: Delivery;
  /** Whether anything can be sent now. */
  active: boolean;
  onResend: (delivery: Delivery) => void;
}

export function DeliveryRow({ delivery: of, active, onResend }: DeliveryRowProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const id = useId();
  const what = text[of.event];
  const again = of.state === "waiting" ? text.resend_now : text.resend;
  const { message_id: message } = of;
  return (
    <li class="delivery" data-testid="delivery" data-message={message} data-event={of.event} data-subject={of.subject_id} data-state={of.state} data-tries={of.tries} data-fault={of.fault ?? ""} data-status={of.status ?? ""}>
      <div class="row wrap spread">
        <div class="grow">
          <p class="row wrap"><strong>{what}</strong><span class={LOOK[of.state]}>{text[`${of.state}_state`]}</span><span class="small muted num">{dateTime(of.created_at_ms)}</span></p>
          <p class={of.fault !== null ? "small num failure" : "small num"} data-testid="delivery-course">{courseWords(of, active, Date.now())}</p>
          <p class="small muted mono ids">{message}{of.event !== "endpoint.test" && ` ・ ${text.about} ${of.subject_id}`}</p>
        </div>
        <div class="row">
          <button type="button" class="btn small" aria-expanded={open} aria-controls={id} aria-label={fill(text.body_of, { what, id: message })} data-testid="delivery-body-open" onClick={() => setOpen(!open)}>{text.body}</button>
          {(of.state !== "waiting" || of.tries > 0) && (
            <button type="button" class={of.state === "delivered" ? "btn small" : "btn small ink"} disabled={!active} title={active ? undefined : text.inactive} aria-label={fill(text.resend_of, { act: again, what, id: message })} data-testid="resend" onClick={() => onResend(of)}>
              {again}
            </button>
          )}
        </div>
      </div>
      <div id={id} hidden={!open}>{open && <Body of={of} />}</div>
    </li>
  );
}

function Body({ of }: { of: Delivery }): JSX.Element {
  const { value, problem, reload } = useLoad(() => webhooks.delivery(of.endpoint_id, of.message_id), [of.message_id]);
  if (value === null) return problem === null ? <Loading lines={1} /> : <Failed problem={problem} onRetry={reload} />;
  return (
    <div class="stack body-of">
      <pre class="code" tabIndex={0} role="region" aria-label={fill(text.body_of, { what: text[of.event], id: of.message_id })} data-testid="delivery-body">{pretty(value.body)}</pre>
      <p class="row wrap spread"><span class="small muted grow">{text.body_note}</span><button type="button" class="btn small" onClick={() => void copy(value.body)}>{text.copy_body}</button></p>
    </div>
  );
}
