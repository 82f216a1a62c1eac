import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../api/client";
import { explain } from "../../api/problem-texts";
import { phrases } from "../../i18n/phrases";
import { Icon } from "../../ui/icons";
import { query, safeReturn } from "../../ui/router";
import { words } from "../../ui/words";
import "./sandbox.css";

const text = phrases({
  title: ["テスト用の本人認証・お支払い画面", "Sandbox: your bank's or wallet's page"],
  lead: [
    "これはテスト環境（サンドボックス）の画面です。本物の銀行・カード会社・PayPay・コンビニの画面ではなく、実際のお金は動きません。",
    "This is a sandbox. It is not the page of a real bank, card company, PayPay or store, and no money moves.",
  ],
  ask: ["このお支払い（またはカード登録）をどうしますか？", "What shall become of this payment (or of saving this card)?"],
  approve: ["承認する", "Approve"],
  refuse: ["拒否する", "Refuse"],
  sending: ["送信しています…", "Sending…"],
  broken: ["アドレスが正しくありません。お店の画面からやり直してください。", "This address is not complete. Please start again in the shop."],
  back: ["手続きをせずに戻る", "Go back without deciding"],
});

/** Stands for the page of a bank, a wallet or a store. It says in both languages that it is none, whatever the language chosen. */
export function ActionPage(): JSX.Element {
  const asked = new URLSearchParams(query.value);
  const intent = asked.get("intent") ?? "";
  const back = safeReturn(asked.get("return"));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const decide = (outcome: "approve" | "refuse"): void => {
    setBusy(true);
    setProblem(null);
    api.post("/v1/sandbox/actions", { intent, outcome }).then(() => location.assign(back), (thrown: unknown) => {
      setProblem(thrown);
      setBusy(false);
    });
  };
  return (
    <main id="main" class="page sandbox-page" data-testid="sandbox-action" data-intent={intent}>
      <div class="card panel stack">
        <p><span class="tag demo">{words.sandbox}</span></p>
        <span class="mark" aria-hidden="true"><Icon name="shield" /></span>
        <h1>{text.title}</h1>
        <p class="notice gold">
          <span lang="ja">テスト環境です。実際のお金は動きません。</span><br /><span lang="en">This is a sandbox: no money moves.</span>
        </p>
        <p>{text.lead}</p>
        {intent === "" ? <p class="notice bad" role="alert">{text.broken}</p> : (
          <>
            <p>{text.ask}</p>
            {problem !== null && <p class="notice bad" role="alert" data-testid="sandbox-problem">{explain(problem)}</p>}
            <button type="button" class="btn primary wide" disabled={busy} data-testid="approve" onClick={() => decide("approve")}>
              {busy ? <><span class="spinner tiny" />{text.sending}</> : text.approve}
            </button>
            <button type="button" class="btn danger wide" disabled={busy} data-testid="refuse" onClick={() => decide("refuse")}>{text.refuse}</button>
          </>
        )}
        <a class="btn quiet small" href={back} data-testid="sandbox-back">{text.back}</a>
      </div>
    </main>
  );
}
