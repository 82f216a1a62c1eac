import type { JSX } from "preact";
import type { Devices } from "../../media/camera";
import { text } from "./texts";

interface DeviceChoiceProps {
  devices: Devices;
  cameraId: string | null;
  microphoneId: string | null;
  onCamera: (id: string | null) => void;
  onMicrophone: (id: string | null) => void;
}

export function DeviceChoice({ devices, cameraId, microphoneId, onCamera, onMicrophone }: DeviceChoiceProps): JSX.Element {
  const choice = (label: string, list: MediaDeviceInfo[], value: string | null, onChange: (id: string | null) => void, testId: string): JSX.Element => (
    <label class="field"><span>{label}</span>
      <select class="input" value={value ?? ""} data-testid={testId} onChange={(event) => onChange(event.currentTarget.value === "" ? null : event.currentTarget.value)}>
        <option value="">{text.default_device}</option>
        {list.filter((device) => device.deviceId !== "").map((device) => (
          <option key={device.deviceId} value={device.deviceId}>{device.label === "" ? label : device.label}</option>
        ))}
      </select>
    </label>
  );
  return (
    <div class="devices">
      {choice(text.camera, devices.cameras, cameraId, onCamera, "choose-camera")}
      {choice(text.microphone, devices.microphones, microphoneId, onMicrophone, "choose-microphone")}
    </div>
  );
}
