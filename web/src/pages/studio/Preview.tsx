import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Live } from "../../api/types";
import { listDevices, openCamera, openScreen, stopAll, type Devices } from "../../media/camera";
import { useWakeLock } from "../../media/useWakeLock";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import { DeviceChoice } from "./DeviceChoice";
import { EndSheet } from "./EndSheet";
import { SendingLine } from "./SendingLine";
import type { Desk } from "./store";
import { text } from "./texts";

interface PreviewProps {
  at: Desk;
  live: Live;
  onChanged: () => void;
}

export function Preview({ at, live, onChanged }: PreviewProps): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  const [devices, setDevices] = useState<Devices>({ cameras: [], microphones: [] });
  const [cameraId, setCameraId] = useState<string | null>(null);
  const [microphoneId, setMicrophoneId] = useState<string | null>(null);
  const [screen, setScreen] = useState<MediaStream | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [ending, setEnding] = useState(false);
  const state = at.room.value.live?.state ?? live.state;
  const camera = at.camera.value;
  const sending = at.sending.value;
  const shown = screen ?? camera;

  useEffect(() => {
    if (state === "ended") return undefined;
    let wanted = true;
    openCamera(cameraId, microphoneId).then(
      (stream) => {
        if (!wanted) return stopAll(stream);
        const before = at.camera.value;
        at.camera.value = stream;
        setProblem(null);
        // The old device is let go only when the new one is on air.
        void at.publisher.replace(screen ?? stream).then(() => stopAll(before));
        void listDevices().then(setDevices);
      },
      (thrown: unknown) => {
        if (wanted) setProblem(thrown instanceof DOMException && thrown.name === "SecurityError" ? text.need_https : text.no_camera);
      },
    );
    return () => { wanted = false; };
  }, [cameraId, microphoneId, state === "ended"]);

  useEffect(() => {
    if (video.current !== null) video.current.srcObject = shown;
  }, [shown]);

  useEffect(() => {
    if (state !== "ended") return;
    at.publisher.stop();
    stopAll(at.camera.value);
    stopAll(screen);
    at.camera.value = null;
  }, [state]);

  const goLive = async (): Promise<void> => {
    if (shown === null) return;
    setBusy(true);
    setProblem(null);
    try {
      // The picture first, the announcement second: nobody is called to an empty stage.
      await at.publisher.publish(shown);
      if (state === "scheduled") await api.post<Live>(`/v1/lives/${seg(live.id)}/start`);
      onChanged();
    } catch (thrown) {
      setProblem(explain(thrown));
    } finally {
      setBusy(false);
    }
  };

  const share = async (): Promise<void> => {
    try {
      const stream = await openScreen(camera?.getAudioTracks()[0] ?? null);
      stream.getVideoTracks()[0]?.addEventListener("ended", () => void backToCamera(stream));
      setScreen(stream);
      await at.publisher.replace(stream);
    } catch (thrown) {
      // Closing the browser's own chooser is no failure.
      if (!(thrown instanceof DOMException && thrown.name === "NotAllowedError")) toast(explain(thrown), true);
    }
  };
  const backToCamera = async (stream: MediaStream | null): Promise<void> => {
    for (const track of stream?.getVideoTracks() ?? []) track.stop();
    setScreen(null);
    if (at.camera.value !== null) await at.publisher.replace(at.camera.value);
  };

  useWakeLock(sending.state === "live");
  useEffect(() => {
    if (sending.state !== "live") return undefined;
    // Closing this page takes the picture away from everybody: the browser asks first.
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [sending.state]);

  const sends = sending.state === "live" || sending.state === "reconnecting" || sending.state === "connecting";
  return (
    <section class="card preview" aria-label={text.preview}>
      <div class="frame">
        <video ref={video} autoplay playsInline muted class={screen === null ? "mirror" : ""} data-testid="preview" />
        {shown === null && <div class="no-picture"><Icon name="camera" /><p class="small">{problem ?? text.preview}</p></div>}
        <SendingLine at={at} />
      </div>
      <div class="panel stack">
        {problem !== null && shown !== null && <p class="notice bad" role="alert">{problem}</p>}
        {sending.problem !== null && <p class="notice bad" role="alert">{explain(sending.problem)}</p>}
        {state !== "ended" && !sends && (
          <button type="button" class="btn primary wide" disabled={busy || shown === null} data-testid="go-live" onClick={() => void goLive()}>
            {busy ? text.starting : state === "live" ? text.connect : text.start}
          </button>
        )}
        {state === "live" && (
          <button type="button" class="btn danger wide" data-testid="end-live" onClick={() => setEnding(true)}>{text.end}</button>
        )}
        {state !== "ended" && (
          <>
            <DeviceChoice devices={devices} cameraId={cameraId} microphoneId={microphoneId} onCamera={setCameraId} onMicrophone={setMicrophoneId} />
            {screen === null
              ? <button type="button" class="btn small" onClick={() => void share()}><Icon name="screen" />{text.share_screen}</button>
              : <button type="button" class="btn small" onClick={() => void backToCamera(screen)}><Icon name="camera" />{text.back_to_camera}</button>}
          </>
        )}
      </div>
      {ending && <EndSheet live={live} onClose={() => { setEnding(false); onChanged(); }} />}
    </section>
  );
}
