import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../api/client";
import { explain } from "../../api/problem-texts";
import { me } from "../../api/session";
import { touches, type StaffCode } from "../../api/touches";
import type { Location, Page } from "../../api/types";
import { fill } from "../../i18n/phrases";
import { uuid } from "../../purchase/uuid";
import { qrOf } from "../../touches/qr";
import { staff as text } from "../../touches/texts";
import { copy } from "../../ui/copy";
import { Icon } from "../../ui/icons";
import { MemberGate } from "../../ui/MemberGate";
import { Empty, Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import "../studio/studio.css";
import "../../touches/touches.css";

export function StaffPage(): JSX.Element {
  return <MemberGate title={text.title} lead={text.gate_lead}><Codes /></MemberGate>;
}

function Codes(): JSX.Element {
  const stores = me.value?.staff_location_ids ?? [];
  const { value, problem, reload } = useLoad(async () => {
    const [codes, places] = await Promise.all([touches.staffCodes(), api.get<Page<Location>>("/v1/locations")]);
    return { codes, places: places.items };
  }, [stores.join(" ")]);
  return (
    <main id="main" class="page staff-page" data-testid="staff-page">
      <h1>{text.title}</h1>
      {stores.length === 0 ? <div class="card"><Empty icon="person">{text.wrong}</Empty></div> : <p class="muted">{text.lead}</p>}
      {stores.length > 0 && problem !== null && <Failed problem={problem} onRetry={reload} />}
      {stores.length > 0 && value === null && problem === null && <Loading />}
      {value !== null && stores.map((store) => {
        const code = value.codes.find((one) => one.location_id === store);
        const name = value.places.find((place) => place.id === store)?.name ?? code?.location_name ?? store;
        return code === undefined ? <NoCode key={store} locationId={store} name={name} onMade={reload} /> : <Code key={store} of={code} name={name} />;
      })}
    </main>
  );
}

/** Made to be held out to somebody: large, and scannable. */
function Code({ of, name }: { of: StaffCode; name: string }): JSX.Element {
  const link = `${location.origin}/?staff=${encodeURIComponent(of.code)}`;
  const qr = qrOf(link);
  return (
    <section class="card staff-card" aria-label={name} data-testid="staff-code" data-code={of.code}>
      <p class="muted">{name}</p>
      <svg class="qr" viewBox={`0 0 ${qr.size} ${qr.size}`} role="img" aria-label={fill(text.qr, { code: of.code })} shape-rendering="crispEdges"><path d={qr.path} fill="#000" /></svg>
      <p class="small muted">{text.code}</p>
      <p class="code">{of.code}</p>
      <p class="row wrap tools">
        <button type="button" class="btn small" data-testid="copy-staff-link" onClick={() => void copy(link)}>{text.copy_link}</button>
        <button type="button" class="btn small" onClick={() => print()}><Icon name="print" />{text.print}</button>
      </p>
    </section>
  );
}

function NoCode({ locationId, name, onMade }: { locationId: string; name: string; onMade: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const make = (): void => {
    setBusy(true);
    touches.makeStaffCode(locationId, uuid()).then(onMade, (thrown: unknown) => toast(explain(thrown), true)).finally(() => setBusy(false));
  };
  return (
    <section class="card staff-card" aria-label={name}>
      <p class="muted">{name}</p>
      <p>{text.none}</p>
      <button type="button" class="btn primary" disabled={busy} data-testid="make-staff-code" onClick={make}>{text.make}</button>
    </section>
  );
}
