import { phrases } from "../i18n/phrases";

export const rule = phrases({
  title: ["成果のルール", "Attribution rule"],
  lead: ["販売がだれの成果になるかを決める日数です。変更は今後の販売にだけ適用されます。", "How many days count when it is decided whose a sale is. A change counts for sales from then on."],
  click_days: ["クリック・共有リンク（日）", "Click or shared link (days)"],
  replay_days: ["アーカイブ視聴（日）", "Replay (days)"],
  staff_days: ["スタッフコード（日）", "Staff code (days)"],
  note: ["変更の理由", "Why"],
  of: ["第{n}版", "Version {n}"],
  since: ["{at} から", "since {at}"],
  house: ["初期ルール", "the house's"],
  save: ["ルールを変更する", "Change the rule"],
  saved: ["ルールを変更しました。今後の販売に適用されます。", "Changed, for sales from now on."],
  wrong: ["{field} をご確認ください。", "Please check: {field}."],
  history: ["これまでのルール", "Earlier rules"],
  summary: ["クリック {click}日 ・ アーカイブ {replay}日 ・ スタッフ {staff}日（{rate}）", "click {click} days, replay {replay} days, staff {staff} days ({rate})"],
});
