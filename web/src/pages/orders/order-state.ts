/** Pure: where a purchase stands, in one word of a list. */
import { outcome } from "../../purchase/status";

export type Tag = "paid" | "fulfilled" | "moving" | "action" | "lost" | "refunded" | "part_refunded";

export function tagOf(state: string, refundedMinor: number | undefined): Tag {
  switch (outcome(state)) {
    case "moving": return state === "requires_action" ? "action" : "moving";
    case "lost": return state === "refunded" ? "refunded" : "lost";
    case "paid":
      if ((refundedMinor ?? 0) > 0) return "part_refunded";
      return state === "fulfilled" ? "fulfilled" : "paid";
  }
}

export const TAG_LOOK: Record<Tag, string> = {
  paid: "tag ok", fulfilled: "tag ok", moving: "tag soon", action: "tag act", lost: "tag", refunded: "tag", part_refunded: "tag",
};
