/** What products are called, where terms name them by their ids only. */
import { signal } from "@preact/signals";
import { api, seg } from "../api/client";
import type { Product } from "../api/types";

const names = signal<ReadonlyMap<string, string>>(new Map());
const asking = new Set<string>();

export function rememberProducts(products: readonly { id: string; title: string }[]): void {
  names.value = new Map([...names.value, ...products.map(({ id, title }) => [id, title] as const)]);
}

/** The id itself until its name is known. */
export function productName(id: string): string {
  const known = names.value.get(id);
  if (known === undefined && !asking.has(id)) {
    asking.add(id);
    api.get<Product>(`/v1/products/${seg(id)}`).then((product) => rememberProducts([product]), () => undefined);
  }
  return known ?? id;
}
