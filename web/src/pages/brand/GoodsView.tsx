import type { JSX } from "preact";
import { ImportPanel } from "./ImportPanel";
import { ShortagesPanel } from "./ShortagesPanel";
import { text } from "./texts";

/** What there is to sell, and what was sold and is not there. */
export function GoodsView({ brandId }: { brandId: string }): JSX.Element {
  return (
    <div class="stack" data-testid="brand-goods">
      <h1>{text.goods}</h1>
      <ShortagesPanel />
      <ImportPanel brandId={brandId} />
    </div>
  );
}
