import type { JSX } from "preact";
import type { RoomPin } from "../../hub/model";
import { Sheet } from "../../ui/Sheet";
import { ProductList } from "./ProductList";
import type { Visit } from "./store";
import { text } from "./texts";

interface ProductsSheetProps {
  here: Visit;
  onBuy: (pin: RoomPin) => void;
  onClose: () => void;
}

export function ProductsSheet({ here, onBuy, onClose }: ProductsSheetProps): JSX.Element {
  return (
    <Sheet title={text.products} onClose={onClose} testId="products-sheet">
      <ProductList here={here} onBuy={onBuy} />
    </Sheet>
  );
}
