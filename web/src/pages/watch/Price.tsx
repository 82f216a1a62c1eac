import type { JSX } from "preact";
import { money, percentOff } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { text } from "./texts";

interface PriceProps {
  priceMinor: number;
  regularMinor: number;
  currency: string;
  from?: boolean;
  /** The discount is shown elsewhere. */
  bare?: boolean;
}

export function Price({ priceMinor, regularMinor, currency, from = false, bare = false }: PriceProps): JSX.Element {
  const off = percentOff(priceMinor, regularMinor);
  return (
    <span class="price num">
      <span class="sr">{text.live_price} </span>
      <strong data-testid="live-price" data-minor={priceMinor}>{money(priceMinor, currency)}{from && "〜"}</strong>
      {off > 0 && (
        <>
          <span class="sr"> {text.regular} </span>
          <s data-testid="regular-price">{money(regularMinor, currency)}</s>
          {!bare && <span class="off">{fill(text.off, { n: off })}</span>}
        </>
      )}
    </span>
  );
}
