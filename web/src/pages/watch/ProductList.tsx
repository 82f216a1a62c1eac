import type { JSX } from "preact";
import { Empty } from "../../ui/states";
import type { PinActs } from "./PinAction";
import { PinCard } from "./PinCard";
import type { Visit } from "./store";
import { text } from "./texts";

export function ProductList({ here, acts }: { here: Visit; acts: PinActs }): JSX.Element {
  const pins = here.room.value.pins;
  if (pins.length === 0) return <Empty icon="bag">{text.no_products}</Empty>;
  return <div class="stack">{pins.map((pin) => <PinCard key={pin.id} here={here} pin={pin} acts={acts} />)}</div>;
}
