import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Live } from "../../api/types";
import { useWakeLock } from "../../media/useWakeLock";
import { Icon } from "../../ui/icons";
import type { Visit } from "./store";
import { MediaCard } from "./MediaCard";
import { Quality } from "./Quality";
import { isStalled } from "./stalled";
import { text } from "./texts";

interface StageProps {
  here: Visit;
  rest: Live | null;
  children: ComponentChildren;
}

/** How often it is looked at whether the picture stands still. */
const LOOK_MS = 500;

/** The picture, the card that stands in for it, and whatever floats above. */
export function Stage({ here, rest, children }: StageProps): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  const [muted, setMuted] = useState(true);
  const [moving, setMoving] = useState(false);
  const [upright, setUpright] = useState(true);
  const [height, setHeight] = useState(0);
  const stream = here.stream.value;
  const media = here.room.value.live?.media ?? rest?.media ?? "none";

  useEffect(() => {
    const element = video.current;
    if (element === null || stream === null) return;
    element.srcObject = stream;
    // Muted play is always allowed; a refusal (battery saver) leaves the poster and the button.
    element.play().catch(() => undefined);
  }, [stream]);

  const lastFrameAt = useRef(0);
  useEffect(() => {
    const element = video.current;
    if (element === null) return undefined;
    let handle = 0;
    const onFrame = (): void => {
      lastFrameAt.current = performance.now();
      if (element.dataset["firstFrameMs"] === undefined) {
        // Milliseconds since the navigation began: what a person waited for the picture.
        element.dataset["firstFrameMs"] = String(Math.round(performance.now()));
        performance.mark("hanamichi:first-frame");
      }
      setMoving(true);
      setHeight(element.videoHeight);
      setUpright(element.videoHeight >= element.videoWidth);
      handle = element.requestVideoFrameCallback(onFrame);
    };
    handle = element.requestVideoFrameCallback(onFrame);
    return () => element.cancelVideoFrameCallback(handle);
  }, []);

  const status = here.status.value;
  const lineLostAt = useRef<number | null>(null);
  const wasReady = useRef(false);
  useEffect(() => {
    if (wasReady.current && status !== "ready") lineLostAt.current = performance.now();
    wasReady.current = status === "ready";
  }, [status]);

  useEffect(() => {
    const watchedFrom = performance.now();
    const timer = setInterval(() => {
      const still = performance.now() - Math.max(lastFrameAt.current, watchedFrom);
      if (still > 1_500 && media !== "up") setMoving(false);
      const lineLostMs = lineLostAt.current === null ? null : performance.now() - lineLostAt.current;
      if (document.hidden || media !== "up" || here.picture.value !== "playing") return;
      if (!isStalled({ stillMs: still, lineLostMs })) return;
      lastFrameAt.current = performance.now();
      here.player.restart();
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [media, here]);

  useWakeLock(moving);

  const toggle = (): void => {
    const element = video.current;
    if (element === null) return;
    element.muted = !muted;
    setMuted(!muted);
    element.play().catch(() => undefined);
  };

  return (
    <section class="stage" data-testid="stage">
      <video ref={video} class={upright ? "upright" : "flat"} autoplay playsInline muted={muted} disablePictureInPicture data-testid="video" />
      <MediaCard here={here} rest={rest} moving={moving} />
      <div class="veil" aria-hidden="true" />
      <div class="over">
        {children}
        {moving && (
          <button type="button" class={muted ? "sound on-video loud" : "sound on-video"} aria-pressed={!muted} data-testid="unmute" onClick={toggle}
            aria-label={muted ? text.unmute : text.mute}>
            <Icon name={muted ? "muted" : "sound"} />
          </button>
        )}
        {moving && <Quality player={here.player} since={`${stream?.id ?? ""} ${height}`} />}
      </div>
    </section>
  );
}
