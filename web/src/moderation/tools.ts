/** Whether somebody has the tools, and the sheet that holds them, whose code comes when it is needed. */
import type { Room } from "../hub/room";
import { lazily } from "../ui/lazily";

export type { Target } from "./ToolsSheet";

export const ToolsSheet = lazily(async () => (await import("./ToolsSheet")).ToolsSheet);

/** Liver and moderators keep order; the server decides again at each deed. */
export function keepsOrder(room: Room): boolean {
  const role = room.standing?.role;
  return role === "liver" || role === "moderator";
}
