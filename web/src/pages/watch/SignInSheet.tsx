import type { JSX } from "preact";
import { Sheet } from "../../ui/Sheet";
import { SignInForm } from "../../ui/SignInForm";
import { text } from "./texts";

export function SignInSheet({ onClose, onDone }: { onClose: () => void; onDone: () => void }): JSX.Element {
  return (
    <Sheet title={text.sign_in_title} onClose={onClose} testId="sign-in-sheet">
      <div class="stack">
        <p class="muted">{text.sign_in_lead}</p>
        <SignInForm roles={["viewer"]} onDone={onDone} />
      </div>
    </Sheet>
  );
}
