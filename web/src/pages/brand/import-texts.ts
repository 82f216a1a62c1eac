import { phrases } from "../../i18n/phrases";

export const csv = phrases({
  title: ["商品と在庫の取り込み", "Import products and stock"],
  lead: [
    "Shopify の商品CSV、またはこのサービスの列のCSVを取り込みます。まず「確認する」で内容を検査できます（何も変わりません）。",
    "Takes a Shopify product CSV, or one with this service's own columns. Check it first: a check changes nothing.",
  ],
  file: ["CSVファイル", "CSV file"],
  location: ["在庫を数える場所", "Where the stock stands"],
  no_locations: ["在庫の場所がまだありません。運営者に登録を依頼してください。", "There is no location yet. Please ask the operator to add one."],
  check: ["確認する（dry run）", "Check (dry run)"],
  run: ["取り込む", "Import"],
  checking: ["確認しています…", "Checking…"],
  running: ["取り込んでいます…", "Importing…"],
  check_first: ["取り込む前に、このファイルと場所で確認してください。", "Check this file and location before you import."],
  unreadable: ["ファイルを読み込めませんでした。もう一度選択してください。", "The file cannot be read. Please choose it again."],
  checked: ["確認の結果（まだ何も変わっていません）", "What the import would do (nothing has changed yet)"],
  done: ["取り込みました", "Imported"],
  rows: ["行", "Rows"],
  products_created: ["新しい商品", "New products"],
  products_updated: ["更新する商品", "Changed products"],
  skus_created: ["新しいSKU", "New SKUs"],
  skus_updated: ["更新するSKU", "Changed SKUs"],
  stock_counted: ["在庫を数えたSKU", "Stock counts"],
  no_errors: ["エラーはありません。", "No errors."],
  errors: ["エラーのある行", "Rows with errors"],
  row: ["行番号", "Row"],
  column: ["列", "Column"],
  message: ["内容", "Message"],
  left_off: ["ほか{n}件のエラーがあります。", "And {n} more errors."],
});

export const short = phrases({
  title: ["欠品", "Shortages"],
  lead: [
    "支払い済みで、いま在庫が足りない注文です。入荷すると自動的に割り当てられます。お客様へのご連絡をお願いします。",
    "Paid orders whose goods are not at hand. Arriving stock is given to them by itself. Please tell the buyers.",
  ],
  order: ["注文番号", "Order"],
  units: ["不足", "Missing"],
  lines: ["注文の内容", "Ordered"],
});
