import type { JSX } from "preact";
import { reports } from "../../api/reports";
import { asked, questionOf } from "../../reports/filters";
import { lives } from "../../reports/lives-texts";
import { RangePicker } from "../../reports/RangePicker";
import { query } from "../../ui/router";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { AssistsBoard } from "./AssistsBoard";
import { AudienceBoard } from "./AudienceBoard";
import { CohortsBoard } from "./CohortsBoard";
import "../../reports/reports.css";

/** Lives beside each other: who came, who bought, and what came of it later. */
export function LivesView({ brandId }: { brandId: string }): JSX.Element {
  const { range } = asked(query.value, Date.now());
  const question = questionOf({ range, filters: {} });
  const keys = [brandId, JSON.stringify(question)];
  const audience = useLoad(() => reports.audience(brandId, question), keys);
  const assists = useLoad(() => reports.assists(brandId, question), keys);
  const cohorts = useLoad(() => reports.ltv(brandId, question), keys);
  return (
    <div class="reports" data-testid="brand-lives">
      <h1>{lives.title}</h1>
      <RangePicker range={range} />
      {audience.problem !== null && <Failed problem={audience.problem} onRetry={audience.reload} />}
      {audience.value === null && audience.problem === null && <Loading />}
      {audience.value !== null && (audience.value.length === 0
        ? <div class="card"><Empty icon="chart">{lives.none}</Empty></div>
        : <AudienceBoard brandId={brandId} rows={audience.value} />)}
      {assists.problem !== null && <Failed problem={assists.problem} onRetry={assists.reload} />}
      {assists.value !== null && <AssistsBoard rows={assists.value} />}
      {cohorts.problem !== null && <Failed problem={cohorts.problem} onRetry={cohorts.reload} />}
      {cohorts.value !== null && <CohortsBoard rows={cohorts.value} />}
    </div>
  );
}
