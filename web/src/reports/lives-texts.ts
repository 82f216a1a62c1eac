import { phrases } from "../i18n/phrases";

export const lives = phrases({
  title: ["ライブの比較", "Lives compared"],
  none: ["この期間のライブはありません。", "No lives in this period."],
  chart: ["ライブ別の純売上と視聴者", "Net sales and viewers by live"],
  live: ["ライブ", "Live"],
  began: ["開始", "Began"],
  length: ["配信時間", "Length"],
  peak: ["最大同時視聴", "Peak viewers"],
  average: ["平均同時視聴", "Average viewers"],
  unique: ["視聴者", "Viewers"],
  watched: ["視聴時間（1人あたり）", "Watched (each)"],
  buyers: ["購入者", "Buyers"],
  conversion: ["購入率", "Conversion"],
  gross: ["GMV", "GMV"],
  net: ["純売上", "Net sales"],
  open: ["{live} の分ごとの動き", "{live}, minute by minute"],
  means_peak: ["1秒ごとの同時視聴者数の最大", "The highest of the viewers counted every second"],
  means_average: ["視聴時間の合計 ÷ 配信時間", "All time watched by the live's length"],
  means_unique: ["視聴した人の数（重複を除く）", "Different people who watched"],
  means_watched: ["視聴者ごとに重なりを除いた視聴時間", "Time watched, overlaps of one viewer counted once"],
  means_conversion: ["購入者 ÷ 3秒以上の視聴者", "Buyers of those who watched for 3 seconds or more"],

  assists: ["間接的な貢献", "Influenced sales"],
  assists_lead: [
    "このライブを見た人が、7日以内に別のライブで購入した注文です。成果には数えません。",
    "Orders credited to another live, whose buyers had seen this one up to 7 days before. Not credited here.",
  ],
  no_assists: ["間接的な貢献はありません。", "No influenced sales."],
  influenced_orders: ["注文", "Orders"],
  influenced: ["金額", "Amount"],

  ltv: ["出会ったライブ別のLTV", "Lifetime value by the live of the first purchase"],
  ltv_lead: [
    "そのライブで初めて購入した人の、その後の純売上です（実績、お一人あたり）。期間が終わっていないものは途中経過です。",
    "What people who first bought in that live have brought since, each (realised, not predicted). Marked where the days are not over.",
  ],
  no_ltv: ["この期間に初めて購入した人はいません。", "Nobody bought for the first time in this period."],
  customers: ["初回購入者", "First-time buyers"],
  days: ["{n}日", "{n} days"],
  so_far: ["途中", "so far"],
});
