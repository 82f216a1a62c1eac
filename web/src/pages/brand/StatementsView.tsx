import type { JSX } from "preact";
export function StatementsView({ brandId }: { brandId: string }): JSX.Element { return <p>{brandId}</p>; }
