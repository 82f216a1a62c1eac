import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { reports } from "../../api/reports";
import { contracts } from "../../api/settlement";
import { DAY_MS } from "../../reports/range";
import { ContractList } from "../../settlement/ContractList";
import { contract as text } from "../../settlement/contract-texts";
import { RuleForm } from "../../settlement/RuleForm";
import { firstFields } from "../../settlement/terms";
import { TermsForm } from "../../settlement/TermsForm";
import { Icon } from "../../ui/icons";
import { navigate } from "../../ui/router";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";

/** How far back livers are looked for who sold for the brand. */
const KNOWN_DAYS = 365;

export function ContractsView({ brandId }: { brandId: string }): JSX.Element {
  const [proposing, setProposing] = useState(false);
  return (
    <section class="stack contracts" aria-labelledby="contracts-title" data-testid="brand-contracts">
      <div class="row wrap spread">
        <div><h1 id="contracts-title">{text.title}</h1><p class="muted">{text.lead_brand}</p></div>
        {!proposing && <button type="button" class="btn ink" data-testid="new-contract" onClick={() => setProposing(true)}><Icon name="plus" />{text.new}</button>}
      </div>
      {proposing && <Proposal brandId={brandId} onClose={() => setProposing(false)} />}
      <ContractList side="brand" load={(cursor) => contracts.ofBrand(brandId, cursor)} />
      <RuleForm brandId={brandId} />
    </section>
  );
}

function Proposal({ brandId, onClose }: { brandId: string; onClose: () => void }): JSX.Element {
  const [liverId, setLiverId] = useState("");
  const livers = useLoad(() => reports.by({ brandId }, "liver", { from_ms: Date.now() - KNOWN_DAYS * DAY_MS, to_ms: Date.now() + DAY_MS }), [brandId]);
  return (
    <div class="card panel stack" data-testid="new-contract-form">
      <h2>{text.new_title}</h2>
      <label class="field"><span>{text.liver}</span>
        <input class="input" list="known-livers" value={liverId} placeholder="lvr_…" data-testid="contract-liver" onInput={(event) => setLiverId(event.currentTarget.value)} />
        <datalist id="known-livers">{livers.value?.rows.map((row) => <option key={row.key} value={row.key}>{row.label}</option>)}</datalist>
        <span class="hint">{livers.value?.rows.find((row) => row.key === liverId.trim())?.label ?? text.liver_hint}</span>
      </label>
      <TermsForm brandId={brandId} first={firstFields(Date.now())} onCancel={onClose}
        onSend={async (terms, key) => {
          const made = await contracts.offer(brandId, liverId.trim(), terms, key);
          toast(text.sent);
          navigate(`/contracts/${made.contract_id}`);
        }} />
    </div>
  );
}
