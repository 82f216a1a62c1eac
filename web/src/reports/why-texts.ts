import { phrases } from "../i18n/phrases";

export const why = phrases({
  title: ["この販売はだれの成果か", "Whose this sale is"],
  gate_lead: ["販売がだれの成果になったか、その理由を言葉で確認できます。", "In words: whose a sale is, and why."],
  owner: ["成果の帰属先", "Credited to"],
  nobody: ["だれの成果でもありません", "Credited to nobody"],
  staff: ["スタッフ（別枠）", "Staff (apart)"],
  sale: ["販売", "The sale"],
  sold: ["購入日時", "Bought at"],
  amount: ["金額", "Amount"],
  order: ["注文番号", "Order"],
  product: ["商品", "Product"],
  rule: ["決め手となったルール", "The rule that decided"],
  rule_version: ["ルール第{n}版", "version {n} of the rule"],
  contract: ["契約条件", "Terms"],
  contract_version: ["第{n}版（料率 {rate}）", "version {n}, {rate}"],
  no_contract: ["契約なし（ブランドの標準料率）", "No contract: the brand's standard rate"],
  open_contract: ["契約を見る", "See the contract"],
  steps: ["判定の順番", "How it was decided"],
  steps_lead: ["上から順に確認し、最初に当てはまったルールで決まります。", "From the top; the first rule that fits decides."],
  matched: ["当てはまる", "Fits"],
  unmatched: ["当てはまらない", "Does not fit"],
  decided: ["ここで決定", "Decided here"],
  touches: ["根拠となった記録", "What was noted"],
  assists: ["ほかに見ていたライブ（参考）", "Other lives that were seen (influenced)"],
  assists_lead: ["成果には数えません。", "Not credited."],
  credits: ["台帳の記録", "In the ledger"],
  back: ["レポートへ", "To the reports"],
  kind_view: ["視聴", "Watched"],
  kind_click: ["商品をタップ", "Tapped the product"],
  kind_live_purchase: ["配信中に購入", "Bought in the live"],
  kind_replay: ["アーカイブ視聴", "Watched the replay"],
  kind_replay_purchase: ["アーカイブで購入", "Bought in the replay"],
  kind_link: ["共有リンク", "Followed a shared link"],
  kind_coupon: ["クーポン", "Coupon"],
  kind_staff_code: ["スタッフコード", "Staff code"],
});

export function touchKind(kind: string): string {
  return (why as Record<string, string | undefined>)[`kind_${kind}`] ?? kind;
}
