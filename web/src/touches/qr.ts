/** Pure: a QR code as one SVG path, a unit a module. */
import { encode } from "uqr";

/** White modules around it, which readers need. */
const MARGIN = 2;

export interface Qr {
  size: number;
  path: string;
}

export function qrOf(text: string): Qr {
  const { data, size } = encode(text, { ecc: "M", border: MARGIN });
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  return { size, path };
}
