/** Pure: who keeps order in a live. The server decides again at each deed. */
import type { Room } from "../hub/room";

export function keepsOrder(room: Room): boolean {
  const role = room.standing?.role;
  return role === "liver" || role === "moderator";
}
