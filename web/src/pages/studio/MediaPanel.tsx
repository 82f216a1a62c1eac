import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { LiveMedia, PublisherMedia } from "../../api/types";
import { count, rate } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { judge, steady, type Level, type Reason, type Source, type Steady } from "./media-health";
import type { Desk } from "./store";
import { text } from "./texts";

export const REFRESH_MS = 2_000;

const WORD: Record<Level, "media_level_waiting" | "media_level_good" | "media_level_shaky" | "media_level_bad"> = {
  waiting: "media_level_waiting", good: "media_level_good", shaky: "media_level_shaky", bad: "media_level_bad",
};

const WHY: Record<Reason, keyof typeof text> = {
  waiting: "media_waiting", measuring: "media_measuring", away: "media_away", no_keyframe: "media_no_keyframe", no_frames: "media_no_frames",
  loss: "media_loss", keyframes: "media_keyframes", frames: "media_frames", resent: "media_resent", delay: "media_delay", jitter: "media_jitter",
  bitrate: "media_bitrate", viewers_loss: "media_viewers_loss", good: "media_good",
};

/** How the picture arrives and how it reaches the viewers. */
export function MediaPanel({ at }: { at: Desk }): JSX.Element {
  const source: Source = at.sending.value.state === "live" ? "this-page" : "elsewhere";
  const { value, problem, reload } = useLoad(() => api.get<LiveMedia>(`/v1/lives/${seg(at.liveId)}/media`), [at.liveId], REFRESH_MS);
  return (
    <section class="card panel media" aria-label={text.media} data-testid="media-panel">
      <h2>{text.media}</h2>
      {value === null && problem === null && <Loading lines={1} />}
      {value === null && problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value !== null && <Figures media={value} source={source} stale={problem === null ? null : explain(problem)} />}
    </section>
  );
}

/** Only the verdict is read out, and only when it changes; the figures are there for who looks. */
export function Figures({ media, source, stale }: { media: LiveMedia; source: Source; stale: string | null }): JSX.Element {
  const held = useRef<{ media: LiveMedia; steady: Steady } | null>(null);
  // One step for each look, however often this is drawn.
  if (held.current?.media !== media) held.current = { media, steady: steady(held.current?.steady ?? null, judge(media, source)) };
  const { level, reason } = held.current.steady.shown;
  const { publisher, viewers } = media;
  return (
    <>
      <p class={`verdict ${level}`} role="status" aria-live="polite" data-testid="media-verdict" data-level={level} data-reason={reason}>
        <span class="mark" aria-hidden="true" /><span><strong>{text[WORD[level]]}</strong> {text[WHY[reason]]}</span>
      </p>
      {stale !== null && <p class="small muted" data-testid="media-stale">{fill(text.media_stale, { why: stale })}</p>}
      {publisher !== null && <dl class="facts num">{rowsOf(media, publisher).map(([name, value, id]) => <Fact key={id} name={name} value={value} id={id} />)}</dl>}
      {publisher !== null && media.codec === "vp8" && <p class="small muted">{text.media_vp8}</p>}
      <h3>{text.media_viewers}</h3>
      {viewers.count === 0 ? <p class="small muted">{text.media_no_viewers}</p> : (
        <dl class="facts num">
          <Fact id="viewers" name={text.viewers} value={count(viewers.count)} />
          <Fact id="viewers-loss" name={text.media_fact_loss} value={spread(viewers.loss_p50_bp, viewers.loss_p95_bp, percent)} />
          <Fact id="viewers-trip" name={text.media_fact_trip} value={spread(viewers.round_trip_p50_ms, viewers.round_trip_p95_ms, millis)} />
        </dl>
      )}
    </>
  );
}

function Fact({ name, value, id }: { name: string; value: string; id: string }): JSX.Element {
  return <div><dt class="small muted">{name}</dt><dd data-testid={`media-${id}`}>{value}</dd></div>;
}

const UNKNOWN = "–";

function rowsOf(media: LiveMedia, publisher: PublisherMedia): [name: string, value: string, id: string][] {
  const { width, height, frames_per_s: frames, keyframe_interval_ms: interval } = publisher;
  const size = width === null || height === null ? UNKNOWN : `${width}×${height}`;
  return [
    [text.media_fact_picture, `${size} · ${count(frames)} fps${media.codec === null ? "" : ` · ${media.codec === "h264" ? "H.264" : "VP8"}`}`, "picture"],
    [text.media_fact_bitrate, `${mega(publisher.video_bits_per_s)} + ${Math.round(publisher.audio_bits_per_s / 1_000)} kbps`, "bitrate"],
    [text.media_fact_loss, publisher.late_bp > 0 ? fill(text.media_loss_resent, { lost: percent(publisher.loss_bp), late: percent(publisher.late_bp) }) : percent(publisher.loss_bp), "loss"],
    [text.media_fact_trip, publisher.round_trip_ms === null ? UNKNOWN : millis(publisher.round_trip_ms), "trip"],
    [text.media_fact_keyframe, interval === null ? UNKNOWN : seconds(interval), "keyframe"],
  ];
}

function spread(half: number | null, most: number | null, show: (value: number) => string): string {
  return half === null || most === null ? UNKNOWN : fill(text.media_spread, { half: show(half), most: show(most) });
}

const percent = (bp: number): string => rate(Math.round(bp / 10) * 10);
const millis = (value: number): string => `${count(value)} ms`;
const seconds = (value: number): string => fill(text.media_seconds, { n: (value / 1_000).toFixed(1) });
const mega = (bits: number): string => (bits >= 1_000_000 ? `${(bits / 1_000_000).toFixed(1)} Mbps` : `${Math.round(bits / 1_000)} kbps`);
