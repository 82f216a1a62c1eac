/** The REST contract's shapes, as the server sends them (snake_case, money in minor units, times in Unix ms). */

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface BrandRef {
  id: string;
  name: string;
}

export interface Me {
  account_id: string;
  display_name: string;
  email: string;
  customer_id: string;
  liver_id: string | null;
  brands: BrandRef[];
  staff_location_ids: string[];
  operator: boolean;
  demo: boolean;
}

export type DemoRole = "viewer" | "liver" | "brand" | "operator";

export interface Demo {
  accounts: { role: DemoRole; email: string; password: string; display_name: string }[];
  live_id: string | null;
  brand_id: string | null;
}

export type LiveState = "scheduled" | "live" | "ended";
export type MediaState = "none" | "up" | "away";

export interface Live {
  id: string;
  title: string;
  state: LiveState;
  liver_id: string;
  liver_name: string;
  tie_up_brand_id: string | null;
  tie_up_brand_name: string | null;
  pr_label: string | null;
  media: MediaState;
  scheduled_at_ms: number;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  version: number;
  demo: boolean;
  watch_path: string;
  viewers: number;
}

export interface Sku {
  id: string;
  variant: string | null;
  jan: string | null;
  price_minor: number;
  currency: string;
  tax_rate_bp: number;
  available: number;
  stock_version: number;
}

export interface ProductRef {
  id: string;
  brand_id: string;
  brand_name: string;
  title: string;
  description: string | null;
  image_path: string | null;
}

export interface Product extends ProductRef {
  skus: Sku[];
}

export interface Offer {
  id: string;
  sku_id: string;
  variant: string | null;
  price_minor: number;
  regular_price_minor: number;
  currency: string;
  tax_rate_bp: number;
  limit_per_customer: number | null;
  ends_at_ms: number | null;
  starts_at_ms: number | null;
  quota: number | null;
  /** Of the quota; null without one. */
  left: number | null;
  version: number;
  available: number;
  stock_version: number;
}

export interface Pin {
  id: string;
  product: ProductRef;
  offers: Offer[];
  pinned_at_ms: number;
  version: number;
}

export interface PinRequest {
  product_id: string;
  live_price_minor?: number;
  limit_per_customer?: number;
  ends_in_s?: number;
  starts_in_s?: number;
  quota?: number;
}

export interface LiveSales {
  orders: number;
  units: number;
  /** Less what was given back. */
  gross_minor: number;
  /** What was given back or called off. */
  refunded_minor: number;
  currency: string;
  viewers: number;
  peak_viewers: number;
  /** Different people over the whole live, to about 2 %. */
  unique_viewers: number;
  /** Seconds watched, over all viewers. */
  watch_s: number;
  products: { product_id: string; title: string; units: number; gross_minor: number }[];
}

export interface StreamKey {
  whip_url: string;
  stream_key: string;
}

export interface TaxLine {
  rate_bp: number;
  /** Tax included. */
  total_minor: number;
  base_minor: number;
  tax_minor: number;
}

export interface Confirmation {
  hash: string;
  offer_id: string;
  sku_id: string;
  product_title: string;
  variant: string | null;
  brand_name: string;
  qty: number;
  unit_price_minor: number;
  total_minor: number;
  tax: TaxLine[];
  currency: string;
  shipping_minor: number;
  payment: { method: string; label_ja: string; label_en: string; timing_ja: string; timing_en: string };
  delivery_ja: string;
  delivery_en: string;
  cancellation_ja: string;
  cancellation_en: string;
  application_period_ja: string;
  application_period_en: string;
  seller: { name: string; invoice_number: string | null };
}

export type PurchaseState =
  | "held" | "paying" | "requires_action" | "authorized" | "captured" | "fulfilled"
  | "refused" | "expired" | "failed" | "cancelled" | "refunded";

export interface PurchaseLine {
  offer_id: string;
  product_id: string;
  sku_id: string;
  qty: number;
  unit_price_minor: number;
  tax_rate_bp: number;
}

/** The fields of a single line are those of the first of `lines`. */
export interface Purchase {
  id: string;
  state: PurchaseState;
  reason: string | null;
  offer_id: string;
  live_id: string;
  sku_id: string;
  qty: number;
  unit_price_minor: number;
  total_minor: number;
  currency: string;
  hold_expires_at_ms: number;
  order_id: string | null;
  placed_at_ms: number;
  lines: PurchaseLine[];
  /** The place on a waitlist that this hold was given for. */
  wait_id: string | null;
  /** Units of a paid purchase that cannot be delivered at the moment. */
  short_units: number;
  /** Given back so far. */
  refunded_minor: number;
  /** The provider's code behind a decline, where it may be told. */
  decline_code?: string | null;
  /** While it waits for its turn with the payment provider: how many are before it, and about how long. */
  payments_before?: number;
  payment_estimate_ms?: number;
  version: number;
}

export interface PaymentRequest {
  payment_method: string;
  confirmation_hash: string;
}

export type WaitState = "waiting" | "offered" | "left" | "lapsed";

export interface Wait {
  id: string;
  offer_id: string;
  product_id: string;
  sku_id: string;
  live_id: string;
  qty: number;
  state: WaitState;
  reason: string | null;
  purchase_id: string | null;
  joined_at_ms: number;
  version: number;
}

export interface WaitRequest {
  offer_id: string;
  qty: number;
  confirmation_hash: string;
}

export interface PurchaseRequest {
  offer_id: string;
  qty: number;
  confirmation_hash: string;
  payment_method: string;
}

export interface OrderLine {
  id: string;
  product_title: string;
  variant: string | null;
  sku_id: string;
  qty: number;
  unit_price_minor: number;
  tax_rate_bp: number;
  amount_minor: number;
  returned_qty: number;
  refunded_minor: number;
}

export interface Order {
  id: string;
  number: string;
  purchase_id: string;
  live_id: string;
  state: string;
  placed_at_ms: number;
  lines: OrderLine[];
  total_minor: number;
  /** Called off before the money was taken. */
  voided_minor: number;
  captured_minor: number;
  /** Of what was taken, given back or about to be. */
  refunded_minor: number;
  refunds: Refund[];
  tax: TaxLine[];
  currency: string;
}

/** What a brand sees of an order: its own lines. */
export type BrandOrder = Pick<Order, "id" | "number" | "live_id" | "state" | "placed_at_ms" | "lines" | "total_minor" | "refunded_minor" | "currency">;

export type RefundState = "pending" | "succeeded" | "failed";

export interface Refund {
  id: string;
  order_id: string;
  state: RefundState;
  /** void: nothing had been taken yet, so less will be. */
  kind: "refund" | "void";
  amount_minor: number;
  currency: string;
  lines: { order_line_id: string; qty: number; amount_minor: number }[];
  tax: TaxLine[];
  restocked: boolean;
  reason: string;
  created_at_ms: number;
  settled_at_ms: number | null;
  failure: string | null;
}

export interface RefundRequest {
  /** Absent: all that is left. */
  lines?: { order_line_id: string; qty: number }[];
  restock: boolean;
  reason: string;
}

export interface DocumentLine {
  product_title: string;
  variant: string;
  qty: number;
  unit_price_minor: number;
  amount_minor: number;
  tax_rate_bp: number;
  reduced: boolean;
}

export interface DocumentRate extends TaxLine {
  reduced: boolean;
}

export type DocumentKind = "qualified_invoice" | "receipt" | "qualified_credit_note" | "credit_note";

export interface CreditNote {
  number: string;
  kind: DocumentKind;
  title_ja: string;
  title_en: string;
  refund_id: string;
  issued_at_ms: number;
  lines: DocumentLine[];
  rates: DocumentRate[];
  total_minor: number;
}

/** One seller's part of an order. */
export interface InvoiceDocument {
  number: string;
  kind: DocumentKind;
  title_ja: string;
  title_en: string;
  brand_id: string;
  seller_name: string;
  /** T + 13 digits; null: the document is no qualified invoice. */
  registration: string | null;
  issued_at_ms: number;
  lines: DocumentLine[];
  rates: DocumentRate[];
  total_minor: number;
  credit_notes: CreditNote[];
}

export interface Invoice {
  order_id: string;
  order_number: string;
  buyer_name: string;
  placed_at_ms: number;
  currency: string;
  /** None before the money was taken. */
  documents: InvoiceDocument[];
}

export type PaymentKind = "card" | "paypay" | "konbini";

export interface TestMethod {
  /** What is sent as `payment_method`. */
  method: string;
  /** The number that stands for it on the page, and is never sent; empty for what is no card. */
  number: string;
  label_ja: string;
  label_en: string;
  /** Can be saved as a card. */
  saves: boolean;
}

export interface PaymentOptions {
  provider: "sandbox" | "stripe";
  sandbox: boolean;
  publishable_key: string | null;
  methods: PaymentKind[];
  test_methods: TestMethod[];
}

export interface SavedCard {
  id: string;
  brand: string;
  last4: string;
  exp_month: number;
  exp_year: number;
  created_at_ms: number;
}

/** What the buyer must do: go there and come back, or let Stripe's script do it. */
export type Action =
  | { kind: "redirect"; url: string }
  | { kind: "stripe"; client_secret: string; publishable_key: string };

export interface CardSetup {
  id: string;
  state: "requires_action" | "saved" | "failed";
  action: Action | null;
  card: SavedCard | null;
}

export interface Location {
  id: string;
  kind: "warehouse" | "store";
  name: string;
  address: string | null;
}

export interface ImportError {
  /** As a spreadsheet counts: the heading is row 1. */
  row: number;
  column: string | null;
  message: string;
}

export interface ImportReport {
  rows: number;
  products_created: number;
  products_updated: number;
  skus_created: number;
  skus_updated: number;
  stock_counted: number;
  dry_run: boolean;
  errors: ImportError[];
  /** Errors beyond those listed. */
  errors_left_off: number;
}

export interface Shortage {
  purchase_id: string;
  order_id: string;
  order_number: string;
  short_units: number;
  lines: { sku_id: string; qty: number; product_title?: string; variant?: string | null }[];
}

export interface ReportFigures {
  orders: number;
  units: number;
  gross_minor: number;
  cancelled_minor: number;
  net_minor: number;
  commission_minor: number;
}

export interface ReportRow extends ReportFigures {
  live_id: string;
  live_title: string;
  live_demo: boolean;
  liver_id: string;
  liver_name: string;
}

export interface Report {
  brand_id: string;
  currency: string;
  from_ms: number | null;
  to_ms: number | null;
  totals: ReportFigures;
  rows: ReportRow[];
  definitions: { name: string; ja: string; en: string }[];
  as_of_ms: number;
}

export interface CreditLine {
  credit_id: string;
  at_ms: number;
  kind: "sale" | "reversal";
  order_id: string;
  order_number: string;
  order_line_id: string;
  live_id: string;
  liver_id: string;
  liver_name: string;
  product_title: string;
  variant: string | null;
  sku_id: string;
  qty: number;
  base_minor: number;
  share_bp: number;
  commission_bp: number;
  commission_minor: number;
  rule_version: number | string;
  state: "estimated" | "confirmed";
}

/** What comes from a publisher. Losses in ten thousandths; null: not known. */
export interface PublisherMedia {
  since_ms: number;
  video_bits_per_s: number;
  audio_bits_per_s: number;
  packets: number;
  video_lost: number;
  audio_lost: number;
  late: number;
  loss_bp: number;
  late_bp: number;
  jitter_ms: number;
  round_trip_ms: number | null;
  frames_per_s: number;
  width: number | null;
  height: number | null;
  keyframes: number;
  keyframe_interval_ms: number | null;
  since_keyframe_ms: number | null;
  keyframes_asked: number;
  /** From the smallest; all else is said of the largest. */
  layers: { bits_per_s: number; width: number | null; height: number | null; frames_per_s: number }[];
}

export interface ViewersMedia {
  count: number;
  bits_per_s: number;
  packets_sent: number;
  packets_resent: number;
  keyframes_asked: number;
  loss_p50_bp: number | null;
  loss_p95_bp: number | null;
  round_trip_p50_ms: number | null;
  round_trip_p95_ms: number | null;
}

export interface LiveMedia {
  state: MediaState;
  codec: "h264" | "vp8" | null;
  publisher: PublisherMedia | null;
  viewers: ViewersMedia;
}

/** An account of the money ledger. */
export interface Balance {
  account: string;
  debit_minor: number;
  credit_minor: number;
  /** Debits less credits. */
  balance_minor: number;
}

export interface Reconciliation {
  as_of_ms: number;
  last_run: { id: string; began_at_ms: number; ended_at_ms: number; from_ms: number; to_ms: number; entries: number; open: number } | null;
  accounts: Balance[];
  /** Our books of the provider, and the provider's own. */
  clearing_minor: number;
  provider_minor: number;
  difference_minor: number;
  open: number;
  items: Finding[];
}

/** What the books do not agree on. */
export interface Finding {
  id: string;
  kind: string;
  state: string;
  subject: string;
  ours_minor: number;
  theirs_minor: number;
  intent: string | null;
  order_id: string | null;
  refund_id: string | null;
  found_at_ms: number;
  resolved_at_ms: number | null;
  how: string | null;
  note: string | null;
  /** What can be done about it. */
  ways: string[];
}
