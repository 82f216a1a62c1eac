/** The picture is asked for before the watch page's own code has arrived; the page takes the player over. */
import { WhepPlayer, whepUrl } from "./whep";

let early: { liveId: string; player: WhepPlayer } | null = null;

export function startEarly(liveId: string): void {
  if (early !== null) return;
  const player = new WhepPlayer({ url: whepUrl(liveId) });
  early = { liveId, player };
  player.start();
}

export function takePlayer(liveId: string): WhepPlayer {
  const taken = early;
  early = null;
  if (taken?.liveId === liveId) return taken.player;
  taken?.player.stop();
  const player = new WhepPlayer({ url: whepUrl(liveId) });
  player.start();
  return player;
}
