import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Problem } from "../../api/problem";
import { HubClient, type HubStatus } from "../../hub/client";
import { EMPTY_ROOM, type Room } from "../../hub/room";
import { stopAll } from "../../media/camera";
import { WhipPublisher, whipUrl, type WhipState } from "../../media/whip";

/** One liver at one live: the room, the way the picture leaves, and what the camera sees. */
export interface Desk {
  readonly liveId: string;
  readonly hub: HubClient;
  readonly room: ReadonlySignal<Room>;
  readonly status: ReadonlySignal<HubStatus>;
  readonly publisher: WhipPublisher;
  readonly sending: ReadonlySignal<{ state: WhipState; problem: Problem | null }>;
  readonly camera: Signal<MediaStream | null>;
  leave: () => void;
}

export function desk(liveId: string): Desk {
  const room = signal<Room>(EMPTY_ROOM);
  const status = signal<HubStatus>("connecting");
  const sending = signal<{ state: WhipState; problem: Problem | null }>({ state: "idle", problem: null });
  const camera = signal<MediaStream | null>(null);
  const publisher = new WhipPublisher({
    url: whipUrl(liveId),
    onState: (state, problem) => { sending.value = { state, problem }; },
  });
  const hub = new HubClient({
    live: liveId,
    onChange: (next) => { room.value = next; },
    onStatus: (next) => { status.value = next; },
  });
  hub.start();
  // Said at once, so that viewers see the card and not a frozen picture.
  const goodbye = (): void => publisher.stop();
  addEventListener("pagehide", goodbye);
  return {
    liveId, hub, room, status, publisher, sending, camera,
    leave: () => {
      removeEventListener("pagehide", goodbye);
      publisher.stop();
      stopAll(camera.value);
      hub.stop();
    },
  };
}
