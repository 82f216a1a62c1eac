import { describe as group, expect, it } from "vitest";
import { describe, sentOf, type Outbound } from "../src/pages/studio/sent";

const video = (bytesSent: number, size?: [number, number, number]): Outbound => ({
  type: "outbound-rtp", kind: "video", bytesSent,
  ...(size === undefined ? {} : { frameWidth: size[0], frameHeight: size[1], framesPerSecond: size[2] }),
}) as Outbound;

group("what a browser sends", () => {
  it("is the largest size that is on its way, and the bits of all", () => {
    const sent = sentOf([
      video(100_000, [320, 180, 30]), video(300_000, [640, 360, 29.6]), video(0),
      { type: "outbound-rtp", kind: "audio", bytesSent: 999 } as Outbound,
    ]);
    expect(sent).toEqual({ bytes: 400_000, width: 640, height: 360, framesPerSecond: 29.6 });
    expect(describe(sent, 150_000, 2_000)).toBe("640×360 · 30 fps · 1.0 Mbps");
    expect(describe(sent, null, 2_000)).toBe("640×360 · 30 fps");
  });

  it("is nothing while nothing is sent, and never less than nothing", () => {
    expect(describe(sentOf([video(0), video(5, [640, 360, 0])]), 0, 2_000)).toBe("");
    expect(describe(sentOf([video(10, [320, 180, 30])]), 900, 2_000)).toBe("320×180 · 30 fps · 0.0 Mbps");
  });
});
