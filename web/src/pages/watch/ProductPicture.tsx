import type { JSX } from "preact";
import mon from "../../assets/mon.svg";

export function ProductPicture({ path, size }: { path: string | null; size: number }): JSX.Element {
  const missing = path === null || path === "";
  return <img class={missing ? "picture none" : "picture"} src={missing ? mon : path} alt="" width={size} height={size} decoding="async" />;
}
