import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { demo, demoSignIn, signIn, signUp } from "../api/session";
import type { DemoRole, Me } from "../api/types";
import { explain } from "../api/problem-texts";
import { phrases } from "../i18n/phrases";
import { words } from "./words";

const text = phrases({
  email: ["メールアドレス", "E-mail address"],
  password: ["パスワード", "Password"],
  password_hint: ["8文字以上", "At least 8 characters"],
  name: ["表示名", "Display name"],
  name_hint: ["チャットや質問に表示されます", "Shown with your chat and questions"],
  to_up: ["はじめての方はこちら（新規登録）", "New here? Create an account"],
  to_in: ["登録済みの方はこちら（サインイン）", "Already registered? Sign in"],
  demo_viewer: ["デモ視聴者として参加", "Join as a demo viewer"],
  demo_liver: ["デモライバーとして入る", "Enter as the demo liver"],
  demo_brand: ["デモブランドとして入る", "Enter as the demo brand"],
  demo_operator: ["デモ運営者として入る", "Enter as the demo operator"],
  demo_hint: ["これはデモ環境です。登録なしで試せます。", "This is a demo server: no registration needed."],
  or: ["または", "or"],
});

const DEMO_LABEL: Record<DemoRole, "demo_viewer" | "demo_liver" | "demo_brand" | "demo_operator"> = {
  viewer: "demo_viewer", liver: "demo_liver", brand: "demo_brand", operator: "demo_operator",
};

interface SignInFormProps {
  /** The demo accounts that make sense here. */
  roles: readonly DemoRole[];
  onDone: (me: Me) => void;
}

export function SignInForm({ roles, onDone }: SignInFormProps): JSX.Element {
  const [mode, setMode] = useState<"in" | "up">("in");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);

  const run = (work: () => Promise<Me>): void => {
    setBusy(true);
    setProblem(null);
    work().then(onDone, setProblem).finally(() => setBusy(false));
  };

  return (
    <div class="stack">
      {demo.value !== null && (
        <div class="stack">
          <p class="small muted">{text.demo_hint}</p>
          {roles.map((role, index) => (
            <button key={role} type="button" class={index === 0 ? "btn primary wide" : "btn wide"} disabled={busy}
              data-testid={`demo-sign-in-${role}`} onClick={() => run(() => demoSignIn(role))}>{text[DEMO_LABEL[role]]}</button>
          ))}
          <p class="or small muted"><span>{text.or}</span></p>
        </div>
      )}
      <form class="stack" data-testid="sign-in-form" onSubmit={(event) => {
        event.preventDefault();
        run(() => (mode === "in" ? signIn(email, password) : signUp(email, password, name)));
      }}>
        {mode === "up" && (
          <label class="field"><span>{text.name}</span>
            <input class="input" name="name" autocomplete="nickname" required maxLength={40} value={name} data-testid="sign-in-name"
              onInput={(event) => setName(event.currentTarget.value)} />
            <span class="hint">{text.name_hint}</span>
          </label>
        )}
        <label class="field"><span>{text.email}</span>
          <input class="input" type="email" name="email" autocomplete="username" required value={email} data-testid="sign-in-email"
            onInput={(event) => setEmail(event.currentTarget.value)} />
        </label>
        <label class="field"><span>{text.password}</span>
          <input class="input" type="password" name="password" required minLength={mode === "up" ? 8 : 1} value={password} data-testid="sign-in-password"
            autocomplete={mode === "up" ? "new-password" : "current-password"} onInput={(event) => setPassword(event.currentTarget.value)} />
          {mode === "up" && <span class="hint">{text.password_hint}</span>}
        </label>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="submit" class={demo.value === null ? "btn primary wide" : "btn ink wide"} disabled={busy} data-testid="sign-in-submit">
          {mode === "in" ? words.sign_in : words.sign_up}
        </button>
      </form>
      <button type="button" class="btn quiet small" data-testid="sign-in-mode" onClick={() => { setMode(mode === "in" ? "up" : "in"); setProblem(null); }}>
        {mode === "in" ? text.to_up : text.to_in}
      </button>
    </div>
  );
}
