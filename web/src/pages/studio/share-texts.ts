import { phrases } from "../../i18n/phrases";

export const share = phrases({
  open: ["共有リンク", "Share links"],
  title: ["成果が分かる共有リンク", "Links that are counted"],
  lead: ["このリンクから来て購入した人は、あなたの成果として数えられます（記録に同意した人のみ）。", "Who follows it and buys counts for you (with their consent)."],
  campaign: ["キャンペーン名（任意）", "Campaign (optional)"],
  campaign_hint: ["例：instagram", "e.g. instagram"],
  make: ["リンクを作ってコピー", "Make and copy a link"],
  no_campaign: ["キャンペーンなし", "No campaign"],
});
