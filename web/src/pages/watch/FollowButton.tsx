import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { moderation } from "../../api/moderation";
import { explain } from "../../api/problem-texts";
import { fill } from "../../i18n/phrases";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import type { Connected } from "./store";
import { text } from "./texts";

interface FollowButtonProps {
  here: Connected;
  asMember: (write: () => void) => void;
  look?: string;
}

/** Follow and unfollow the liver of this live; whoever is the liver needs neither. */
export function FollowButton({ here, asMember, look = "" }: FollowButtonProps): JSX.Element | null {
  const [busy, setBusy] = useState(false);
  const { live, standing } = here.room.value;
  if (live === null || standing?.role === "liver") return null;
  const following = standing?.following ?? false;
  const toggle = (): void => asMember(() => {
    // Read anew: a guest may have become somebody who follows already.
    const follows = here.room.value.standing?.following ?? following;
    setBusy(true);
    (follows ? moderation.unfollow(live.liverId) : moderation.follow(live.liverId)).then(
      () => {
        here.hub.learnStanding({ following: !follows });
        toast(fill(follows ? text.unfollowed : text.followed, { name: live.liverName }));
      },
      (thrown: unknown) => toast(explain(thrown), true),
    ).finally(() => setBusy(false));
  });
  return (
    <button type="button" class={`btn small follow ${look}`} aria-pressed={following} disabled={busy} data-testid="follow" onClick={toggle}>
      {following && <Icon name="check" />}{following ? text.following : text.follow}
    </button>
  );
}
