import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { HubClient, hubUrl, type HubStatus } from "../../hub/client";
import { EMPTY_ROOM, type Room } from "../../hub/room";
import { takePlayer } from "../../media/early";
import type { WhepPlayer, WhepState } from "../../media/whep";

/** Everything one visit of a live holds: its room, its connection and its picture. */
export interface Visit {
  readonly liveId: string;
  readonly hub: HubClient;
  readonly player: WhepPlayer;
  readonly room: ReadonlySignal<Room>;
  readonly status: ReadonlySignal<HubStatus>;
  readonly picture: ReadonlySignal<WhepState>;
  readonly stream: Signal<MediaStream | null>;
  leave: () => void;
}

/** The part of it that talk needs; the studio has one too. */
export type Connected = Pick<Visit, "hub" | "room">;

export function visit(liveId: string): Visit {
  const room = signal<Room>(EMPTY_ROOM);
  const status = signal<HubStatus>("connecting");
  const picture = signal<WhepState>("connecting");
  const stream = signal<MediaStream | null>(null);
  const player = takePlayer(liveId);
  player.attach((state) => { picture.value = state; }, (next) => { stream.value = next; });
  const hub = new HubClient({
    url: hubUrl(liveId),
    onChange: (next) => {
      const before = room.value.live?.media;
      room.value = next;
      if (next.live?.media === "up" && before !== "up") player.nudge();
    },
    onStatus: (next) => { status.value = next; },
  });
  hub.start();
  // A page that goes away tells the server, so that the viewer count is true at once.
  const goodbye = (): void => player.stop();
  addEventListener("pagehide", goodbye);
  return {
    liveId, hub, player, room, status, picture, stream,
    leave: () => {
      removeEventListener("pagehide", goodbye);
      player.stop();
      hub.stop();
    },
  };
}
