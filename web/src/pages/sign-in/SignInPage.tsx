import type { JSX } from "preact";
import mon from "../../assets/mon.svg";
import { phrases } from "../../i18n/phrases";
import { navigate, query, safeNext } from "../../ui/router";
import { SignInForm } from "../../ui/SignInForm";
import { words } from "../../ui/words";
import "./sign-in.css";

const text = phrases({
  lead: ["見て、聞いて、その場で買える。", "Watch, ask, and buy without leaving."],
});

export function SignInPage(): JSX.Element {
  const next = safeNext(new URLSearchParams(query.value).get("next"));
  const roles = next.startsWith("/brand") ? (["brand", "liver", "viewer"] as const)
    : next.startsWith("/studio") ? (["liver", "brand", "viewer"] as const)
    : (["viewer", "liver", "brand"] as const);
  return (
    <main id="main" class="page sign-in">
      <div class="card panel stack">
        <img src={mon} alt="" width="52" height="52" />
        <h1>{words.sign_in}</h1>
        <p class="muted">{text.lead}</p>
        <SignInForm roles={roles} onDone={() => navigate(next)} />
      </div>
    </main>
  );
}
