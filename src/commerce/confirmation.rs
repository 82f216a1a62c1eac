//! Pure: the final confirmation that stands beside the buy button.
//!
//! 特定商取引法 12条の6 asks for quantity, price, time and way of payment, delivery, cancellation and the application
//! period on the last screen. The sheet is hashed; the purchase keeps the hash of what its buyer was shown.
//! Invariant: the same terms give the same hash, and a changed price or period another one.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    stock::OfferTerms,
    tax::{self, TaxLine},
};
use crate::{
    clock::Millis,
    ids::{BrandId, OfferId, SkuId},
    money::{AmountOutOfRange, Currency, Money},
};

/// What the buyer is shown last.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Confirmation {
    /// Digest of everything below; send it back with the purchase.
    pub hash: String,
    /// What is shown.
    #[serde(flatten)]
    pub sheet: Sheet,
}

/// One line of the sheet.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SheetLine {
    /// At which terms.
    pub offer_id: OfferId,
    /// What is counted.
    pub sku_id: SkuId,
    /// What is bought.
    pub product_title: String,
    /// "M / 白".
    pub variant: String,
    /// Whose it is.
    pub brand_name: String,
    /// 分量.
    pub qty: u32,
    /// 販売価格, tax included.
    pub unit_price_minor: i64,
    /// Tax included.
    pub amount_minor: i64,
    /// 販売業者.
    pub seller: Seller,
}

/// The content of the sheet. The members of the first line stand at the top too.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Sheet {
    /// At which terms.
    pub offer_id: OfferId,
    /// What is counted.
    pub sku_id: SkuId,
    /// What is bought.
    pub product_title: String,
    /// "M / 白".
    pub variant: String,
    /// Whose it is.
    pub brand_name: String,
    /// 分量.
    pub qty: u32,
    /// 販売価格, tax included.
    pub unit_price_minor: i64,
    /// Everything that is bought.
    pub lines: Vec<SheetLine>,
    /// Tax and shipping included.
    pub total_minor: i64,
    /// What the sellers' documents will say: one rounding per seller and rate.
    pub tax: Vec<TaxLine>,
    /// Of the amounts.
    pub currency: Currency,
    /// 送料.
    pub shipping_minor: i64,
    /// 支払方法・支払時期.
    pub payment: PaymentText,
    /// 引渡時期.
    pub delivery_ja: String,
    /// When it is delivered.
    pub delivery_en: String,
    /// 返品・キャンセル.
    pub cancellation_ja: String,
    /// Returns and cancellation.
    pub cancellation_en: String,
    /// 申込期間.
    pub application_period_ja: String,
    /// Until when it can be ordered.
    pub application_period_en: String,
    /// 販売業者.
    pub seller: Seller,
}

/// How and when one pays.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PaymentText {
    /// Name of the default method.
    pub method: &'static str,
    /// 支払方法.
    pub label_ja: String,
    /// The way.
    pub label_en: String,
    /// 支払時期.
    pub timing_ja: &'static str,
    /// The time.
    pub timing_en: &'static str,
}

/// What is said of payment: in the sandbox, or of the methods that are taken for these goods.
pub(super) fn payment_text(methods: Option<&[String]>) -> PaymentText {
    let Some(methods) = methods else {
        return PaymentText {
            method: "sandbox_card",
            label_ja: "テスト決済（実際の請求はありません）".to_owned(),
            label_en: "Sandbox payment (nothing is charged)".to_owned(),
            timing_ja: "ご注文の確定時に承認します",
            timing_en: "Authorised when you confirm the order",
        };
    };
    let name = |method: &String| match method.as_str() {
        "card" => ("クレジットカード", "credit card"),
        "paypay" => ("PayPay", "PayPay"),
        "konbini" => ("コンビニ払い", "convenience store"),
        _ => ("その他", "other"),
    };
    let (ja, en): (Vec<&str>, Vec<&str>) = methods.iter().map(name).unzip();
    PaymentText {
        method: "card",
        label_ja: ja.join("・"),
        label_en: en.join(", "),
        timing_ja: "カードはご注文の確定時に承認し、商品の発送時に請求します。その他の方法はお支払いの手続きの完了時にお支払いいただきます",
        timing_en: "Cards are authorised when you confirm the order and charged when the goods are sent; other methods are paid when you complete them",
    }
}

/// Who sells.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Seller {
    /// Its name.
    pub name: String,
    /// T + 13 digits.
    pub invoice_number: Option<String>,
}

/// What the sheet needs besides the terms.
#[derive(Debug, Clone)]
pub(super) struct Goods {
    pub(super) brand_id: BrandId,
    pub(super) product_title: String,
    pub(super) variant: String,
    pub(super) brand_name: String,
    pub(super) invoice_number: Option<String>,
}

/// One line to be confirmed.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) terms: OfferTerms,
    pub(super) goods: Goods,
    pub(super) qty: u32,
}

/// The sheet for these lines, at least one.
///
/// # Errors
/// When the total is out of range.
pub(super) fn confirm(
    asked: Vec<Ask>,
    delivery_days: u32,
    payment: PaymentText,
) -> Result<Confirmation, AmountOutOfRange> {
    // The first end is the end of the whole basket.
    let (application_period_ja, application_period_en) =
        period(asked.iter().filter_map(|ask| ask.terms.ends_at_ms).min());
    let currency = asked.first().map_or(Currency::Jpy, |ask| ask.terms.currency);
    let mut rates = Vec::with_capacity(asked.len());
    let mut lines = Vec::with_capacity(asked.len());
    for ask in asked {
        let amount = Money::yen(ask.terms.price_minor)?.times(ask.qty)?;
        rates.push((ask.goods.brand_id, ask.terms.tax_rate_bp, amount.minor()));
        lines.push(SheetLine {
            offer_id: ask.terms.id,
            sku_id: ask.terms.sku_id,
            product_title: ask.goods.product_title,
            variant: ask.goods.variant,
            brand_name: ask.goods.brand_name.clone(),
            qty: ask.qty,
            unit_price_minor: ask.terms.price_minor,
            amount_minor: amount.minor(),
            seller: Seller { name: ask.goods.brand_name, invoice_number: ask.goods.invoice_number },
        });
    }
    let total = Money::yen(rates.iter().map(|(_, _, amount)| amount).sum())?;
    let first = lines.first().cloned().ok_or(AmountOutOfRange)?;
    let sheet = Sheet {
        offer_id: first.offer_id,
        sku_id: first.sku_id,
        product_title: first.product_title,
        variant: first.variant,
        brand_name: first.brand_name,
        qty: first.qty,
        unit_price_minor: first.unit_price_minor,
        lines,
        total_minor: total.minor(),
        tax: tax::of_documents(rates),
        currency,
        shipping_minor: 0,
        payment,
        delivery_ja: format!("ご注文の確定から{delivery_days}日以内に発送します（送料込み）"),
        delivery_en: format!("Shipped within {delivery_days} days of the order (shipping included)"),
        cancellation_ja: "お支払いの前は、ご注文の状況からキャンセルできます。お支払いの後のお客様のご都合による返品・キャンセルはお受けしていません。不良品は到着から8日以内にご連絡いただければ交換または返金します。".to_owned(),
        cancellation_en: "Before payment you can cancel from the order's status. After payment, orders cannot be cancelled or returned for a change of mind. Faulty goods are exchanged or refunded when reported within 8 days of arrival.".to_owned(),
        application_period_ja,
        application_period_en,
        seller: first.seller,
    };
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(text(&sheet).as_bytes()));
    Ok(Confirmation { hash, sheet })
}

/// The sheet as it is hashed and kept.
pub(super) fn text(sheet: &Sheet) -> String {
    serde_json::to_string(sheet).expect("text and numbers are JSON")
}

fn period(ends_at: Option<Millis>) -> (String, String) {
    let civil = ends_at.and_then(|end| {
        let instant = jiff::Timestamp::from_millisecond(end.0).ok()?;
        Some(instant.in_tz("Asia/Tokyo").ok()?.strftime("%Y-%m-%d %H:%M:%S").to_string())
    });
    match civil {
        Some(end) => {
            (format!("{end}（日本時間）まで、または売り切れまで"), format!("Until {end} Japan time, or until sold out"))
        }
        None => (
            "この商品の紹介中、または売り切れまで".to_owned(),
            "While the product is shown in the live, or until sold out".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LiveId, ProductId};

    fn terms() -> OfferTerms {
        OfferTerms {
            id: OfferId::fresh(),
            live_id: LiveId::fresh(),
            product_id: ProductId::fresh(),
            sku_id: SkuId::fresh(),
            price_minor: 1_080,
            currency: Currency::Jpy,
            tax_rate_bp: 800,
            limit_per_customer: None,
            quota: None,
            taken: 0,
            starts_at_ms: Millis(0),
            ends_at_ms: Some(Millis(1_800_000_000_000)),
        }
    }

    fn goods() -> Goods {
        Goods {
            brand_id: BrandId::fresh(),
            product_title: "羊羹".into(),
            variant: String::new(),
            brand_name: "花屋".into(),
            invoice_number: None,
        }
    }

    #[test]
    fn a_changed_price_changes_the_hash_and_the_same_terms_do_not() {
        let sheet = |terms: &OfferTerms| {
            confirm(vec![Ask { terms: terms.clone(), goods: goods(), qty: 2 }], 5, payment_text(None))
                .expect("in range")
        };
        let terms = terms();
        let first = sheet(&terms);
        assert_eq!(first.hash, sheet(&terms).hash);
        let dearer = OfferTerms { price_minor: 1_081, ..terms };
        assert_ne!(first.hash, sheet(&dearer).hash);
        assert_eq!(
            first.sheet.tax,
            vec![TaxLine { rate_bp: 800, total_minor: 2_160, base_minor: 2_000, tax_minor: 160 }]
        );
        assert!(
            first.sheet.application_period_ja.starts_with("2027-01-15 17:00:00"),
            "{}",
            first.sheet.application_period_ja
        );
    }
}
