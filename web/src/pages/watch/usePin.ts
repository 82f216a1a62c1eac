import { useRef } from "preact/hooks";
import type { RoomPin } from "../../hub/model";
import type { Room } from "../../hub/room";

/** Kept: a product that is unpinned while someone reads must not vanish under the thumb; the server decides. */
export function usePin(room: Room, pinId: string): RoomPin | undefined {
  const kept = useRef<RoomPin | undefined>(undefined);
  kept.current = room.pins.find((pin) => pin.id === pinId) ?? kept.current;
  return kept.current;
}
