import { phrases } from "../../i18n/phrases";

export const text = phrases({
  title: ["お支払い方法", "Payment methods"],
  lead: [
    "カードを登録しておくと、配信中は2タップで購入できます。本人認証（3Dセキュア）は登録のときに済みます。",
    "With a saved card you buy in two taps during a live. Your bank's check (3-D Secure) happens now, not then.",
  ],
  gate_lead: ["カードを登録・管理するにはサインインが必要です。", "Sign in to save and manage cards."],
  none: ["登録されたカードはありません。", "No card is saved yet."],
  added: ["{at} 登録", "saved {at}"],
  add: ["カードを登録する", "Add a card"],
  adding: ["登録しています…", "Saving…"],
  remove: ["削除", "Remove"],
  remove_long: ["{brand}（末尾 {last4}）を削除", "Remove {brand} ending in {last4}"],
  remove_title: ["このカードを削除しますか？", "Remove this card?"],
  remove_text: ["すでにお支払い済みの注文や返金には影響しません。", "Orders that are paid and their refunds are not affected."],
  removed: ["カードを削除しました。", "The card was removed."],
  saved: ["カードを登録しました。", "The card is saved."],
  failed: ["カードを登録できませんでした。別のカードでお試しください。", "The card could not be saved. Please try another one."],
  not_savable: ["このテストカードは登録できません。", "This test card cannot be saved."],
  action: ["このカードの登録には、カード会社の本人認証が必要です。", "Your bank asks for a check before this card is saved."],
  action_go: ["本人認証へ進む", "Continue to your bank"],
  orders: ["注文履歴", "My orders"],
});
