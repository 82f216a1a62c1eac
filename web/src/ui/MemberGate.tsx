import type { ComponentChildren, JSX } from "preact";
import { me } from "../api/session";
import { SignInForm } from "./SignInForm";
import { Loading } from "./states";

/** For anybody who is signed in, whoever they are. */
export function MemberGate({ title, lead, children }: { title: string; lead: string; children: ComponentChildren }): JSX.Element {
  const person = me.value;
  if (person === undefined) return <main id="main" class="page"><Loading /></main>;
  if (person !== null) return <>{children}</>;
  return (
    <main id="main" class="page gate">
      <div class="card panel stack" data-testid="gate-member">
        <h1>{title}</h1>
        <p class="muted">{lead}</p>
        <SignInForm roles={["viewer"]} onDone={() => undefined} />
      </div>
    </main>
  );
}
