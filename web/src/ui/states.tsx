import type { ComponentChildren, JSX } from "preact";
import { explain } from "../api/problem-texts";
import { Icon, type IconName } from "./icons";
import { words } from "./words";

export function Loading({ lines = 3 }: { lines?: number }): JSX.Element {
  return (
    <div class="stack" role="status" aria-label={words.loading}>
      {Array.from({ length: lines }, (_, index) => <div key={index} class="skeleton" style={{ height: "72px" }} />)}
    </div>
  );
}

export function Failed({ problem, onRetry }: { problem: unknown; onRetry?: () => void }): JSX.Element {
  return (
    <div class="notice bad row wrap spread" role="alert">
      <span>{explain(problem)}</span>
      {onRetry !== undefined && <button type="button" class="btn small" onClick={onRetry}>{words.retry}</button>}
    </div>
  );
}

export function Empty({ icon = "lantern", children }: { icon?: IconName; children: ComponentChildren }): JSX.Element {
  return <div class="empty"><Icon name={icon} /><div>{children}</div></div>;
}
