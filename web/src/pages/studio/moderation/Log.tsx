import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { moderation } from "../../../api/moderation";
import { clockTime } from "../../../i18n/format";
import { deeds } from "../../../moderation/acts";
import { Empty, Failed, Loading } from "../../../ui/states";
import { useLoad } from "../../../ui/useLoad";
import type { Desk } from "../store";
import { aboutWhat, deedWords } from "./deed-words";
import { text } from "./texts";

const REFRESH_MS = 15_000;

export function Log({ at }: { at: Desk }): JSX.Element {
  const { value, problem, reload } = useLoad(() => moderation.log(at.liveId), [at.liveId], REFRESH_MS);
  const done = deeds.value;
  useEffect(reload, [done]);
  if (value === null) return problem === null ? <Loading lines={2} /> : <Failed problem={problem} onRetry={reload} />;
  if (value.length === 0) return <Empty icon="shield">{text.no_log}</Empty>;
  return (
    <ol class="rows log" tabIndex={0} aria-label={text.log}>
      {value.map((entry) => (
        <li key={entry.id} data-testid="log-entry">
          <time class="small muted num" dateTime={new Date(entry.at_ms).toISOString()}>{clockTime(entry.at_ms)}</time>
          <div class="grow">
            <p><strong>{entry.by_name ?? text.somebody}</strong>：{deedWords(entry.action)}</p>
            <p class="small muted clip">{aboutWhat(entry.detail)}</p>
          </div>
        </li>
      ))}
    </ol>
  );
}
