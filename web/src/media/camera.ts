/** Cameras, microphones and screens of this device. */

export interface Devices {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
}

/** A phone held upright turns a wide picture by itself; a desktop camera is asked for an upright crop. */
function shape(): MediaTrackConstraints {
  const phone = matchMedia("(pointer: coarse)").matches;
  return {
    width: { ideal: phone ? 1280 : 720 },
    height: { ideal: phone ? 720 : 1280 },
    frameRate: { ideal: 30, max: 30 },
  };
}

export function openCamera(cameraId: string | null, microphoneId: string | null): Promise<MediaStream> {
  if (!("mediaDevices" in navigator)) return Promise.reject(new DOMException("needs https", "SecurityError"));
  return navigator.mediaDevices.getUserMedia({
    video: { ...shape(), ...(cameraId === null ? { facingMode: "user" } : { deviceId: { exact: cameraId } }) },
    audio: {
      echoCancellation: true, noiseSuppression: true, autoGainControl: true,
      ...(microphoneId === null ? {} : { deviceId: { exact: microphoneId } }),
    },
  });
}

/** The screen's picture with the microphone's sound. */
export async function openScreen(microphone: MediaStreamTrack | null): Promise<MediaStream> {
  const screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30, max: 30 } } });
  for (const track of screen.getVideoTracks()) track.contentHint = "detail";
  return new MediaStream([...screen.getVideoTracks(), ...(microphone === null ? [] : [microphone])]);
}

export async function listDevices(): Promise<Devices> {
  const all = await navigator.mediaDevices.enumerateDevices();
  return {
    cameras: all.filter((device) => device.kind === "videoinput"),
    microphones: all.filter((device) => device.kind === "audioinput"),
  };
}

export function stopAll(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
