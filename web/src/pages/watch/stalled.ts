/**
 * Pure: whether a picture that stands still is made anew.
 *
 * The browser itself notices only after many seconds that a server is gone. The hub's line ends at once, and picture and
 * hub come from one server: when both stop, it is lost, and another one has the picture.
 */

/** There is a publisher but no new frame for this long. */
export const STALLED_MS = 7_000;
/** The same, shortly after the hub's line was lost. */
export const LOST_MS = 1_000;
/** So long the loss of the line says something about the picture. */
const TELLING_MS = 15_000;

export interface Still {
  /** How long there has been no new frame. */
  stillMs: number;
  /** Since the hub's line was lost; null: it was not. */
  lineLostMs: number | null;
}

export function isStalled({ stillMs, lineLostMs }: Still): boolean {
  return stillMs >= (lineLostMs !== null && lineLostMs < TELLING_MS ? LOST_MS : STALLED_MS);
}
