/** Pure: what a refund of chosen units comes to, before the server says it. */
import type { BrandOrder, Order, OrderLine, RefundRequest } from "../../api/types";

/** Units of each line that are to be given back, by the line's id. */
export type Chosen = Readonly<Record<string, number>>;

export function leftOf(line: Pick<OrderLine, "qty" | "returned_qty">): number {
  return Math.max(0, line.qty - line.returned_qty);
}

/**
 * The yen of so many units, as the server counts: where a line's amount is no multiple of its units, the first ones that
 * come back have the yen that are over, so all of them together are the line.
 */
export function amountOf(line: Pick<OrderLine, "qty" | "returned_qty" | "amount_minor">, units: number): number {
  const count = Math.max(0, Math.min(units, leftOf(line)));
  const larger = Math.max(0, Math.min((line.amount_minor % line.qty) - line.returned_qty, count));
  return Math.floor(line.amount_minor / line.qty) * count + larger;
}

export function totalOf(lines: readonly OrderLine[], chosen: Chosen): number {
  return lines.reduce((sum, line) => sum + amountOf(line, chosen[line.id] ?? 0), 0);
}

export function everything(lines: readonly OrderLine[]): Chosen {
  return Object.fromEntries(lines.map((line) => [line.id, leftOf(line)]));
}

export function refundRequest(lines: readonly OrderLine[], chosen: Chosen, restock: boolean, reason: string): RefundRequest {
  const named = lines.filter((line) => (chosen[line.id] ?? 0) > 0).map((line) => ({ order_line_id: line.id, qty: chosen[line.id] ?? 0 }));
  return { lines: named, restock, reason: reason.trim() };
}

/** What a member of the brand can do with an order. */
export function canShip(order: Pick<Order, "state">): boolean {
  return order.state === "authorized" || order.state === "captured";
}

export function canRefund(order: Pick<BrandOrder, "state" | "lines">): boolean {
  const paid = order.state === "authorized" || order.state === "captured" || order.state === "fulfilled";
  return paid && order.lines.some((line) => leftOf(line) > 0);
}
