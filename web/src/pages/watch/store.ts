import { effect, signal, untracked, type ReadonlySignal, type Signal } from "@preact/signals";
import { me } from "../../api/session";
import { HubClient, type HubStatus } from "../../hub/client";
import type { RoomLive } from "../../hub/model";
import { EMPTY_ROOM, type Room } from "../../hub/room";
import { takePlayer } from "../../media/early";
import type { WhepPlayer, WhepState } from "../../media/whep";
import { followWaits } from "./waits";

function hasPicture(live: RoomLive | null): boolean {
  return live?.state === "live" && live.media === "up";
}

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
    live: liveId,
    onChange: (next) => {
      const before = room.value.live;
      room.value = next;
      if (next.live?.state === "ended") player.stop();
      else if (hasPicture(next.live) && !hasPicture(before)) player.nudge();
    },
    onStatus: (next) => {
      status.value = next;
      // Where the hub is, the picture is too.
      if (next === "ready" && hasPicture(room.value.live)) player.nudge();
    },
  });
  hub.start();
  // The hub knows a connection's person from its cookie, so a change of person needs a new connection. Done as the
  // session changes, before whoever waits for the sign-in goes on: what is sent next goes by the new connection.
  let known: string | null | undefined;
  const stopFollowing = effect(() => {
    const person = me.value === undefined ? undefined : (me.value?.account_id ?? null);
    if (person !== undefined && known !== undefined && known !== person) untracked(() => hub.rejoin());
    if (person !== undefined) known = person;
  });
  const stopWaits = followWaits({ liveId, hub, room, status });
  // A page that goes away tells the server, so that the viewer count is true at once.
  const goodbye = (): void => player.stop();
  addEventListener("pagehide", goodbye);
  return {
    liveId, hub, player, room, status, picture, stream,
    leave: () => {
      stopFollowing();
      stopWaits();
      removeEventListener("pagehide", goodbye);
      player.stop();
      hub.stop();
    },
  };
}
