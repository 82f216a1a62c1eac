import type { JSX } from "preact";
export function ContractsView({ brandId }: { brandId: string }): JSX.Element { return <p>{brandId}</p>; }
