import type { ComponentChildren, JSX } from "preact";
import { me } from "../api/session";
import type { DemoRole, Me } from "../api/types";
import { SignInForm } from "./SignInForm";
import { Loading } from "./states";

interface RoleGateProps {
  title: string;
  lead: string;
  /** What to tell someone who is signed in as somebody else. */
  wrongRole: string;
  role: DemoRole;
  allows: (me: Me) => boolean;
  children: ComponentChildren;
}

/** Shows its children to whom they are for, and to everybody else how to become one. The server decides again. */
export function RoleGate({ title, lead, wrongRole, role, allows, children }: RoleGateProps): JSX.Element {
  const person = me.value;
  if (person === undefined) return <main id="main" class="page"><Loading /></main>;
  if (person !== null && allows(person)) return <>{children}</>;
  return (
    <main id="main" class="page gate">
      <div class="card panel stack" data-testid={`gate-${role}`}>
        <h1>{title}</h1>
        <p class="muted">{lead}</p>
        {person !== null && <p class="notice">{wrongRole}</p>}
        <SignInForm roles={[role]} onDone={() => undefined} />
      </div>
    </main>
  );
}
