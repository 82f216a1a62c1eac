import { useEffect } from "preact/hooks";
import { api, seg } from "../../api/client";
import type { LiveSales } from "../../api/types";
import { useLoad } from "../../ui/useLoad";
import type { Desk } from "./store";

export interface SalesView extends LiveSales {
  /** null: all is well, or at least something is known. */
  problem: unknown;
  reload: () => void;
}

const REFRESH_MS = 5_000;

/** The totals as the hub tells them the moment they change, and the split by product as the server adds it up. */
export function useSales(at: Desk): SalesView {
  const room = at.room.value;
  const told = room.sales;
  const { value, problem, reload } = useLoad(() => api.get<LiveSales>(`/v1/lives/${seg(at.liveId)}/sales`), [at.liveId], REFRESH_MS);
  useEffect(reload, [told?.orders, told?.grossMinor]);
  return {
    refunded_minor: value?.refunded_minor ?? 0,
    orders: told?.orders ?? value?.orders ?? 0,
    units: told?.units ?? value?.units ?? 0,
    gross_minor: told?.grossMinor ?? value?.gross_minor ?? 0,
    currency: value?.currency ?? "JPY",
    viewers: room.position === null ? (value?.viewers ?? 0) : room.viewers,
    peak_viewers: Math.max(told?.peakViewers ?? 0, value?.peak_viewers ?? 0, room.viewers),
    unique_viewers: Math.max(told?.uniqueViewers ?? 0, value?.unique_viewers ?? 0),
    watch_s: Math.max(told?.watchS ?? 0, value?.watch_s ?? 0),
    products: value?.products ?? [],
    problem: value === null ? problem : null,
    reload,
  };
}
