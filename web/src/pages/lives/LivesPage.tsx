import type { JSX } from "preact";
import { api } from "../../api/client";
import { demo, me } from "../../api/session";
import type { Live, LiveState, Page } from "../../api/types";
import { phrases } from "../../i18n/phrases";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { LiveCard } from "./LiveCard";
import "./lives.css";

const text = phrases({
  title: ["花道へ、ようこそ。", "Take the runway."],
  lead: ["ライバーに聞いて、その場で買えるライブコマース。", "Live shopping where you ask on air and buy on the spot."],
  now: ["ただいま配信中", "Live now"],
  soon: ["これからの配信", "Coming up"],
  past: ["終了した配信", "Ended"],
  none_now: ["いま配信中のライブはありません。", "Nobody is live right now."],
  none: ["ライブはまだありません。スタジオから最初の配信を予約できます。", "There are no lives yet. Schedule the first one in the studio."],
  demo: ["デモ環境です。商品・出演者・注文はすべて見本で、実際のお支払いは発生しません。", "This is a demo: products, people and orders are samples, and nobody is charged."],
  demo_watch: ["デモ配信を見る", "Watch the demo live"],
  demo_brand: ["レポートを見る", "See the report"],
});

const REFRESH_MS = 8_000;

async function loadLives(): Promise<Record<LiveState, Live[]>> {
  const page = (state: LiveState): Promise<Page<Live>> => api.get<Page<Live>>(`/v1/lives?state=${state}&limit=48`);
  const [live, scheduled, ended] = await Promise.all([page("live"), page("scheduled"), page("ended")]);
  return {
    // Where there is something to see and company to see it with, first.
    live: [...live.items].sort((a, b) => Number(b.media === "up") - Number(a.media === "up") || b.viewers - a.viewers),
    scheduled: [...scheduled.items].sort((a, b) => a.scheduled_at_ms - b.scheduled_at_ms),
    ended: ended.items,
  };
}

export function LivesPage(): JSX.Element {
  const { value, problem, reload } = useLoad(loadLives, [me.value?.account_id], REFRESH_MS);
  const all = value === null ? 0 : value.live.length + value.scheduled.length + value.ended.length;
  return (
    <main id="main" class="page lives">
      <div class="hero">
        <h1>{text.title}</h1>
        <p class="muted">{text.lead}</p>
      </div>
      {demo.value !== null && (
        <div class="notice gold row wrap" data-testid="demo-banner">
          <span class="tag demo">{words.demo}</span><span class="grow">{text.demo}</span>
          {demo.value.live_id !== null && <a class="btn small" href={`/watch/${demo.value.live_id}`} data-testid="demo-watch">{text.demo_watch}</a>}
          {demo.value.brand_id !== null && <a class="btn small" href={`/brand/${demo.value.brand_id}`}>{text.demo_brand}</a>}
        </div>
      )}
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && all === 0 && <Empty>{text.none}</Empty>}
      {value !== null && all > 0 && (
        <>
          <Section title={text.now} lives={value.live} empty={text.none_now} />
          <Section title={text.soon} lives={value.scheduled} />
          <Section title={text.past} lives={value.ended} />
        </>
      )}
    </main>
  );
}

function Section({ title, lives, empty }: { title: string; lives: Live[]; empty?: string }): JSX.Element | null {
  if (lives.length === 0 && empty === undefined) return null;
  return (
    <section class="stack" aria-label={title}>
      <h2 class="rule">{title}</h2>
      {lives.length === 0 ? <p class="muted">{empty}</p> : (
        <ul class="grid">{lives.map((live) => <li key={live.id}><LiveCard live={live} /></li>)}</ul>
      )}
    </section>
  );
}
