import { phrases } from "../i18n/phrases";

export const payee = phrases({
  title: ["振込先と登録番号", "Bank account and registration"],
  lead: ["報酬の振込先です。ブランドには振込のためだけに渡されます。", "Where your commission is paid. Brands get it for the transfer only."],
  name_kana: ["お名前（カナ）", "Name (kana)"],
  bank_code: ["銀行コード", "Bank code"],
  branch_code: ["支店コード", "Branch code"],
  account_type: ["口座の種類", "Kind of account"],
  account_number: ["口座番号", "Account number"],
  holder_kana: ["口座名義（カナ）", "Account holder (kana)"],
  registration: ["適格請求書発行事業者の登録番号（任意）", "Qualified invoice registration (optional)"],
  hint_bank_code: ["数字4桁", "4 digits"],
  hint_branch_code: ["数字3桁", "3 digits"],
  hint_account_number: ["数字7桁まで", "Up to 7 digits"],
  hint_kana: ["通帳のとおりに、カタカナで入力してください。", "As in your bank book, in katakana."],
  hint_registration: ["T と数字13桁。登録がない場合は空欄のままにしてください。", "T and 13 digits. Leave it empty if you are not registered."],
  ordinary: ["普通", "Ordinary"],
  current: ["当座", "Current"],
  savings: ["貯蓄", "Savings"],
  wrong: ["{field} をご確認ください。", "Please check: {field}."],
  saved: ["保存しました。", "Saved."],
  none: ["振込先がまだ登録されていません。支払いを受け取るために登録してください。", "No bank account yet. You need one to be paid."],
});
