import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LiveMedia, PublisherMedia, ViewersMedia } from "../src/api/types";
import { language, switchLanguage } from "../src/i18n/language";
import { judge, steady, type Judgement, type Reason } from "../src/pages/studio/media-health";
import { Figures } from "../src/pages/studio/MediaPanel";
import { text } from "../src/pages/studio/texts";

const PUBLISHER: PublisherMedia = {
  since_ms: 1, video_bits_per_s: 2_300_000, audio_bits_per_s: 64_000, packets: 9_000, video_lost: 0, audio_lost: 0, late: 0, loss_bp: 0, late_bp: 0, jitter_ms: 3,
  round_trip_ms: 40, frames_per_s: 30, width: 720, height: 1_280, keyframes: 20, keyframe_interval_ms: 1_000, since_keyframe_ms: 300, keyframes_asked: 1, layers: [],
};
const VIEWERS: ViewersMedia = {
  count: 12, bits_per_s: 28_000_000, packets_sent: 100_000, packets_resent: 80, keyframes_asked: 3, loss_p50_bp: 0, loss_p95_bp: 120,
  round_trip_p50_ms: 24, round_trip_p95_ms: 160,
};
const live = (publisher: Partial<PublisherMedia> = {}, viewers: Partial<ViewersMedia> = {}): LiveMedia =>
  ({ state: "up", codec: "h264", publisher: { ...PUBLISHER, ...publisher }, viewers: { ...VIEWERS, ...viewers } });
const word = (media: LiveMedia): string => {
  const { level, reason } = judge(media, "elsewhere");
  return `${level} ${reason}`;
};

describe("the verdict", () => {
  it("is good when everything arrives", () => {
    expect(word(live())).toBe("good good");
    expect(word(live({ round_trip_ms: null, keyframe_interval_ms: null }))).toBe("good good");
  });

  it("names what is wrong, and what hurts most first", () => {
    const cases: [Partial<PublisherMedia>, string][] = [
      [{ keyframe_interval_ms: 4_001 }, "shaky keyframes"], [{ keyframe_interval_ms: 4_000 }, "good good"],
      [{ since_keyframe_ms: 12_000 }, "bad keyframes"], [{ loss_bp: 50 }, "shaky loss"], [{ loss_bp: 300, keyframe_interval_ms: 20_000 }, "bad loss"],
      [{ frames_per_s: 12 }, "shaky frames"], [{ frames_per_s: 2 }, "bad frames"], [{ frames_per_s: 0 }, "bad no_frames"],
      [{ late_bp: 400 }, "shaky resent"], [{ round_trip_ms: 450 }, "shaky delay"], [{ jitter_ms: 90 }, "shaky jitter"],
      [{ video_bits_per_s: 90_000 }, "shaky bitrate"],
    ];
    for (const [publisher, expected] of cases) expect(word(live(publisher)), JSON.stringify(publisher)).toBe(expected);
    expect(word(live({}, { loss_p50_bp: 300 }))).toBe("shaky viewers_loss");
    expect(word(live({}, { loss_p95_bp: 3_000 })), "one bad network is not the live's").toBe("good good");
  });

  it("does not ask a browser for keyframes by the clock: it makes them when asked", () => {
    expect(judge(live({ keyframe_interval_ms: 60_000, since_keyframe_ms: 90_000 }), "this-page").level).toBe("good");
  });

  it("tells waiting, measuring, and a lost picture apart", () => {
    expect(word({ ...live(), state: "none", codec: null, publisher: null })).toBe("waiting waiting");
    expect(word({ ...live({ frames_per_s: 0, keyframes: 0, packets: 10 }), state: "none" })).toBe("waiting measuring");
    expect(word({ ...live({ keyframes: 0 }), state: "none" })).toBe("bad no_keyframe");
    expect(word({ ...live(), state: "away", publisher: null })).toBe("bad away");
  });

  it("has words of its own in both languages for every reason", () => {
    const reasons: Reason[] = ["waiting", "measuring", "away", "no_keyframe", "no_frames", "loss", "keyframes", "frames", "resent", "delay", "jitter", "bitrate", "viewers_loss", "good"];
    for (const tongue of ["ja", "en"] as const) {
      language.value = tongue;
      const words = reasons.map((reason) => text[`media_${reason}` as keyof typeof text]);
      for (const said of words) expect(said.length).toBeGreaterThan(5);
      expect(new Set(words).size).toBe(reasons.length);
    }
  });
});

describe("a steady verdict", () => {
  const good: Judgement = { level: "good", reason: "good" };
  const loss: Judgement = { level: "shaky", reason: "loss" };
  const frames: Judgement = { level: "shaky", reason: "frames" };
  const away: Judgement = { level: "bad", reason: "away" };
  const shown = (...looks: Judgement[]): string[] => {
    let before: ReturnType<typeof steady> | null = null;
    return looks.map((look) => (before = steady(before, look)).shown.reason);
  };

  it("does not change for one bad second", () => {
    expect(shown(good, loss, good, frames, loss, good)).toEqual(["good", "good", "good", "good", "good", "good"]);
    expect(shown(good, loss, loss, good, good)).toEqual(["good", "good", "loss", "loss", "good"]);
  });

  it("says at once that the picture went and came", () => {
    expect(shown(good, away, good, loss)).toEqual(["good", "away", "good", "good"]);
    expect(shown({ level: "waiting", reason: "waiting" }, loss)).toEqual(["waiting", "loss"]);
  });
});

describe("the panel", () => {
  let place: HTMLElement;
  beforeEach(() => {
    switchLanguage("ja");
    place = document.body.appendChild(document.createElement("div"));
  });
  afterEach(() => {
    render(null, place);
    place.remove();
  });
  const draw = (media: LiveMedia, stale: string | null = null): void => {
    void act(() => render(<Figures media={media} source="elsewhere" stale={stale} />, place));
  };
  const at = (id: string): string => place.querySelector(`[data-testid="media-${id}"]`)?.textContent ?? "missing";

  it("shows the figures and reads out the verdict alone", () => {
    draw(live({ loss_bp: 12, late_bp: 150 }));
    expect([at("picture"), at("bitrate"), at("loss"), at("trip"), at("keyframe")])
      .toEqual(["720×1280 · 30 fps · H.264", "2.3 Mbps + 64 kbps", "0.1%（再送 1.5%）", "40 ms", "1.0 秒"]);
    expect([at("viewers"), at("viewers-loss"), at("viewers-trip")]).toEqual(["12", "0%（95% の人が 1.2% 以下）", "24 ms（95% の人が 160 ms 以下）"]);
    const spoken = [...place.querySelectorAll("[aria-live], [role=status], [role=alert]")];
    expect(spoken.map((element) => element.getAttribute("data-testid"))).toEqual(["media-verdict"]);
    expect(spoken[0]?.textContent).toBe("良好 視聴者にきれいに届いています。");
  });

  it("leaves the spoken words alone while only figures move", () => {
    draw(live());
    const verdict = place.querySelector('[data-testid="media-verdict"]');
    const words = verdict?.lastElementChild?.firstChild;
    draw(live({ video_bits_per_s: 1_900_000, frames_per_s: 29 }));
    expect(at("bitrate")).toBe("1.9 Mbps + 64 kbps");
    expect(place.querySelector('[data-testid="media-verdict"]')?.lastElementChild?.firstChild).toBe(words);
    draw(live({ keyframe_interval_ms: 6_000 }));
    expect(at("verdict")).toContain("良好");
    draw(live({ keyframe_interval_ms: 6_000 }));
    expect(at("verdict")).toBe("不安定 キーフレーム間隔が長すぎます。OBS では 1 秒に設定してください。");
  });

  it("says that nobody watches, that nothing came, and that figures are old", () => {
    draw({ state: "none", codec: null, publisher: null, viewers: { ...VIEWERS, count: 0 } }, "接続できません。");
    expect(at("verdict")).toBe("待機中 映像の到着を待っています。");
    expect(place.textContent).toContain("まだ誰も映像を見ていません。");
    expect(at("stale")).toContain("接続できません。");
    switchLanguage("en");
    draw(live({ round_trip_ms: null }));
    expect([at("trip"), at("keyframe"), at("verdict")]).toEqual(["–", "1.0 s", "Good Everything arrives as it should."]);
  });
});
