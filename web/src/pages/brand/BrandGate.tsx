import type { ComponentChildren, JSX } from "preact";
import { me } from "../../api/session";
import { RoleGate } from "../../ui/RoleGate";
import { text } from "./texts";

/** For a brand's members, and for operators who name the brand. */
export function BrandGate({ id, children }: { id: string; children: ComponentChildren }): JSX.Element {
  return (
    <RoleGate title={text.gate_title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="brand"
      allows={(person) => person.brands.length > 0 || (person.operator && id !== "")}>
      {children}
    </RoleGate>
  );
}

export function brandName(brandId: string): string {
  return me.value?.brands.find((brand) => brand.id === brandId)?.name ?? "";
}
