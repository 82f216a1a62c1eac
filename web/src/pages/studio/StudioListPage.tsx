import type { JSX } from "preact";
import { api, withQuery } from "../../api/client";
import type { Live, Page } from "../../api/types";
import { dateTime } from "../../i18n/format";
import { RoleGate } from "../../ui/RoleGate";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { ScheduleForm } from "./ScheduleForm";
import { text } from "./texts";
import "./studio.css";

export function StudioListPage(): JSX.Element {
  return (
    <RoleGate title={text.gate_title} lead={text.gate_lead} wrongRole={text.gate_wrong} role="liver" allows={(me) => me.liver_id !== null}>
      <MyLives />
    </RoleGate>
  );
}

function MyLives(): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Page<Live>>(withQuery("/v1/livers/me/lives", { limit: 50 })), [], 10_000);
  return (
    <main id="main" class="page studio-list">
      <h1>{text.title}</h1>
      <div class="columns">
        <section class="stack" aria-label={text.my_lives}>
          <h2 class="rule">{text.my_lives}</h2>
          {problem !== null && <Failed problem={problem} onRetry={reload} />}
          {value === null && problem === null && <Loading />}
          {value !== null && value.items.length === 0 && <Empty icon="camera">{text.none}</Empty>}
          <ul class="stack">{value?.items.map((live) => <li key={live.id}><Row live={live} /></li>)}</ul>
        </section>
        <ScheduleForm known={value?.items ?? []} />
      </div>
    </main>
  );
}

function Row({ live }: { live: Live }): JSX.Element {
  return (
    <div class="card panel row wrap spread" data-testid="my-live" data-live={live.id} data-state={live.state}>
      <div class="grow">
        <p class="row wrap">
          {live.state === "live" && <span class="tag live">{words.on_air}</span>}
          {live.state === "scheduled" && <span class="tag soon">{words.scheduled}</span>}
          {live.state === "ended" && <span class="tag">{words.ended}</span>}
          {live.demo && <span class="tag demo">{words.demo}</span>}
          {live.pr_label !== null && live.pr_label !== "" && <span class="tag pr">{live.pr_label}</span>}
        </p>
        <h3>{live.title}</h3>
        <p class="small muted num">{dateTime(live.started_at_ms ?? live.scheduled_at_ms)}</p>
      </div>
      <a class={live.state === "ended" ? "btn small" : "btn ink small"} href={`/studio/${live.id}`}>{text.open}</a>
    </div>
  );
}
