import { phrases } from "../../i18n/phrases";

export const text = phrases({
  gate_title: ["ブランドとして入る", "Enter as a brand"],
  gate_lead: ["ライブごとの売上と報酬を、明細まで確認できます。", "Sales and commission of each live, down to the ledger line."],
  gate_wrong: ["このアカウントはブランドのメンバーではありません。", "This account is not a brand member's."],
  choose: ["ブランドを選択", "Choose a brand"],
  tabs: ["表示", "View"],
  report: ["レポート", "Reports"],
  lives: ["ライブ", "Lives"],
  contracts: ["契約", "Contracts"],
  statements: ["精算", "Statements"],
  orders: ["注文", "Orders"],
  goods: ["商品", "Goods"],
  webhooks: ["Webhook", "Webhooks"],
});
