import { count, duration } from "../i18n/format";
import { fill, phrases } from "../i18n/phrases";
import { asProblem, type ProblemName } from "./problem";

const TEXTS = phrases<ProblemName>({
  "invalid-input": ["入力内容をご確認ください。", "Please check what you entered."],
  "not-signed-in": ["続けるにはサインインしてください。", "Please sign in to continue."],
  "wrong-credentials": ["メールアドレスまたはパスワードが違います。", "The e-mail address or password is not right."],
  "forbidden": ["この操作を行う権限がありません。", "Your account is not allowed to do this."],
  "not-found": ["見つかりませんでした。削除されたか、アドレスが違う可能性があります。", "Not found. It may have been removed, or the address is wrong."],
  "conflict": ["ほかの操作と重なりました。画面を更新してやり直してください。", "This clashed with another change. Refresh and try again."],
  "idempotency-key-missing": ["送信を完了できませんでした。もう一度お試しください。", "The request was incomplete. Please try again."],
  "idempotency-key-reused": ["内容が変わったため、注文をやり直してください。", "The details changed in between. Please start the order again."],
  "rate-limited": ["少し間をおいてからお試しください。", "That was a little fast. Please wait a moment."],
  "too-large": ["長すぎるか、大きすぎます。短くしてお試しください。", "That is too long or too large. Please shorten it."],
  "unavailable": ["ただいま混み合っています。少々お待ちください。", "The service is busy. One moment, please."],
  "internal": ["こちら側で問題が起きました。時間をおいてお試しください。", "Something went wrong on our side. Please try again later."],
  "live-not-scheduled": ["このライブはすでに開始または終了しています。", "This live has already started or ended."],
  "live-not-live": ["このライブはまだ始まっていません。", "This live has not started yet."],
  "live-ended": ["このライブは終了しました。", "This live has ended."],
  "pr-label-missing": ["タイアップ配信にはPR表記が必要です。設定してから開始してください。", "A tie-up live needs a PR label. Please set one before you start."],
  "sold-out": ["売り切れました。入荷するとここに表示されます。", "Sold out. If it comes back you will see it here."],
  "limit-reached": ["お一人様の購入上限に達しています。", "You have reached the purchase limit per customer."],
  "offer-not-started": ["この商品の販売はまだ始まっていません。", "This offer has not started yet."],
  "offer-ended": ["この価格での販売は終了しました。", "This offer has ended."],
  "price-changed": ["価格または条件が変わりました。新しい内容をご確認ください。", "The price or terms changed. Please check the new details."],
  "purchase-not-payable": ["この注文はお支払いいただけない状態です。", "This purchase can no longer be paid."],
  "payment-method-unavailable": ["このお支払い方法はご利用いただけません。別の方法をお選びください。", "This cannot be paid in that way. Please choose another one."],
  "payment-lapsed": ["承認の期限が切れたため、この注文の代金を受け取れません。", "The reserved money has run out; nothing can be taken for this order."],
  "payment-provider-away": ["決済サービスから応答がありません。少し待ってからもう一度お試しください。", "The payment provider does not answer. Please try again in a moment."],
  "signature-invalid": ["署名が正しくありません。", "The signature is not right."],
  "payment-declined": ["お支払いが承認されませんでした。請求はされていません。", "The payment was declined. You have not been charged."],
  "hold-expired": ["お取り置きの時間が過ぎました。もう一度ご注文ください。", "The reservation ran out. Please order again."],
  "queue-full": ["注文が集中しています。自動的にもう一度お送りします。", "Many people are ordering. We will send yours again by itself."],
  "publisher-exists": ["別の機器から配信中です。先にそちらを止めてください。", "Another device is already streaming. Please stop that one first."],
  "no-publisher": ["映像を待っています。", "Waiting for the picture."],
  "unsupported-media": ["この映像・音声の形式には対応していません（H.264 / Opus）。", "This media format is not supported (use H.264 and Opus)."],
  "stale-etag": ["接続情報が古くなりました。つなぎ直します。", "The connection is out of date. Reconnecting."],
  "email-taken": ["このメールアドレスは登録済みです。サインインしてください。", "This e-mail address is already registered. Please sign in."],
  "payee-missing": ["振込先が登録されていないライバーがいます。", "Some livers have given no bank account yet."],
  "pickup-unavailable": ["この店舗では受け取りができません。ほかの店舗か配送をお選びください。", "Orders cannot be picked up at this store. Please choose another one, or delivery."],
  "pickup-code-wrong": ["この受取コードはこの店舗にありません。店舗とコードをもう一度ご確認ください。", "No order at this store has this code. Please check the store and the code."],
  "pickup-handed-over": ["この注文はすでにお渡し済みです。", "This order has already been handed over."],
  "unknown-sku": ["この商品は現在お取り扱いがありません。", "This item is not available."],
  "method-not-allowed": ["この操作はここではできません。", "This cannot be done here."],
  "unsupported-content-type": ["この種類のデータは受け付けていません。", "This kind of data is not accepted."],
  "upgrade-required": ["お使いのブラウザはこの接続方式に対応していません。", "Your browser does not speak this version of the connection."],
  "etag-missing": ["送信内容が不足しています。画面を更新してお試しください。", "The request was incomplete. Please refresh and try again."],
  "banned": ["ライバーの判断により、このチャンネルではご参加いただけません。", "The liver has removed you from this channel."],
  "muted": ["いまはコメントと質問ができません。時間をおいてお試しください。", "You cannot chat or ask at the moment. Please try again later."],
  "word-refused": ["使用できない言葉が含まれています。書き直してお試しください。", "This contains a word that is not allowed here. Please write it differently."],
  "slow-mode": ["スローモード中です。少し間をおいてから送信してください。", "Slow mode is on. Please wait a little before the next line."],
  "followers-only": ["いまはフォロワーだけがコメントできます。フォローするとコメントできます。", "Only followers may chat at the moment. Follow the liver to join in."],
  "no-socket": ["この通信環境では利用できない操作です。つながり次第ご利用いただけます。", "Your network does not let this through at the moment. It works again once the connection is back."],
  "network": ["サーバーにつながりません。通信環境をご確認ください。", "The server cannot be reached. Please check your connection."],
  "unknown": ["うまくいきませんでした。もう一度お試しください。", "That did not work. Please try again."],
});

const own = phrases({
  queue_place: ["注文が集中しています（順番待ち：前に{n}件）。自動的にもう一度お送りします。", "Many people are ordering ({n} before you). We will send yours again by itself."],
  slow_for: ["スローモード中です。あと{left}お待ちください。", "Slow mode is on. Please wait another {left}."],
  muted_for: ["いまはコメントと質問ができません（あと{left}）。", "You cannot chat or ask for another {left}."],
});

export function problemText(name: ProblemName): string {
  return TEXTS[name];
}

/** What to tell a person about anything that was thrown. Invalid input names its cause: the detail says which field. */
export function explain(thrown: unknown): string {
  const problem = asProblem(thrown);
  if (problem.kind === "queue-full" && problem.position !== null) return fill(own.queue_place, { n: count(problem.position) });
  // Rounded up: who comes back when told must not be early.
  const left = duration(Math.ceil(problem.retryAfterMs / 1000));
  if (problem.kind === "slow-mode" && problem.retryAfterMs > 0) return fill(own.slow_for, { left });
  if (problem.kind === "muted" && problem.retryAfterMs > 0) return fill(own.muted_for, { left });
  const text = TEXTS[problem.kind];
  return problem.kind === "invalid-input" && problem.detail !== "" ? `${text} (${problem.detail})` : text;
}

/** For people who can act on the server's own words (a file that it cannot read): the detail whatever the problem. */
export function explainFully(thrown: unknown): string {
  const { detail, kind } = asProblem(thrown);
  const text = explain(thrown);
  return detail === "" || kind === "unknown" || text.includes(detail) ? text : `${text} (${detail})`;
}
