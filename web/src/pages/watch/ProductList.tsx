import type { JSX } from "preact";
import type { RoomPin } from "../../hub/model";
import { Empty } from "../../ui/states";
import { PinCard } from "./PinCard";
import type { Visit } from "./store";
import { text } from "./texts";

export function ProductList({ here, onBuy }: { here: Visit; onBuy: (pin: RoomPin) => void }): JSX.Element {
  const pins = here.room.value.pins;
  if (pins.length === 0) return <Empty icon="bag">{text.no_products}</Empty>;
  return <div class="stack">{pins.map((pin) => <PinCard key={pin.id} here={here} pin={pin} onBuy={() => onBuy(pin)} />)}</div>;
}
