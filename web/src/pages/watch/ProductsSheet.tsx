import type { JSX } from "preact";
import { Sheet } from "../../ui/Sheet";
import type { PinActs } from "./PinAction";
import { ProductList } from "./ProductList";
import type { Visit } from "./store";
import { text } from "./texts";

interface ProductsSheetProps {
  here: Visit;
  acts: PinActs;
  onClose: () => void;
}

export function ProductsSheet({ here, acts, onClose }: ProductsSheetProps): JSX.Element {
  return (
    <Sheet title={text.products} onClose={onClose} testId="products-sheet">
      <ProductList here={here} acts={acts} />
    </Sheet>
  );
}
