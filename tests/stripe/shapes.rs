//! Objects as Stripe shows them: every field that its description requires, and of the others those that are used.

use serde_json::{Value, json};

use super::books::{Books, Charge, Customer, Intent, Line, Method, Next, Refund, Setup};

fn s(at_ms: i64) -> i64 {
    at_ms.div_euclid(1_000)
}

/// The object that goes by this name, whole when it is asked for.
fn named(id: Option<&String>, path: &str, expand: &[String], whole: impl FnOnce(&str) -> Value) -> Value {
    match id {
        None => Value::Null,
        Some(id) if expand.iter().any(|asked| asked == path) => whole(id),
        Some(id) => json!(id),
    }
}

/// Fields that a shop like ours never sees filled.
fn with_nulls(mut shown: Value, names: &[&str]) -> Value {
    for name in names {
        shown[*name] = Value::Null;
    }
    shown
}

impl Books {
    pub fn show_customer(&self, customer: &Customer) -> Value {
        json!({
            "id": customer.id, "object": "customer", "balance": 0, "created": s(customer.created_ms),
            "default_source": null, "description": null, "email": null,
            "invoice_settings": { "custom_fields": null, "default_payment_method": null, "footer": null },
            "livemode": false, "metadata": customer.metadata, "name": null, "phone": null, "shipping": null,
        })
    }

    pub fn show_method(&self, method: &Method) -> Value {
        let mut shown = json!({
            "id": method.id, "object": "payment_method", "allow_redisplay": "unspecified",
            "billing_details": { "address": null, "email": null, "name": null, "phone": null },
            "created": s(method.created_ms), "customer": method.customer, "customer_account": null,
            "livemode": false, "metadata": {}, "type": method.kind.name(),
        });
        if let super::cards::Kind::Card { last4, .. } = method.kind {
            shown["card"] = json!({
                "brand": "visa", "country": "JP", "exp_month": 12, "exp_year": 2034, "funding": "credit",
                "last4": last4, "three_d_secure_usage": { "supported": true }, "wallet": null,
            });
        }
        shown
    }

    fn next_action(&self, intent: &Intent) -> Value {
        match intent.next {
            None => Value::Null,
            Some(Next::Script) => json!({
                "type": "use_stripe_sdk",
                "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": "" },
            }),
            Some(Next::Redirect) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": {
                    "return_url": intent.return_url, "url": format!("{}/_test/redirect/{}", self.base, intent.id),
                },
            }),
            Some(Next::Voucher { until_ms }) => json!({
                "type": "konbini_display_details",
                "konbini_display_details": {
                    "expires_at": s(until_ms), "hosted_voucher_url": format!("{}/_test/voucher/{}", self.base, intent.id),
                    "stores": { "familymart": { "confirmation_number": "400008", "payment_code": "123456" } },
                },
            }),
        }
    }

    pub fn show_intent(&self, intent: &Intent, expand: &[String]) -> Value {
        let charge = intent.charge.as_ref().map(|charge| &self.charges[charge]);
        let reserved = if intent.status == "requires_capture" { intent.amount } else { 0 };
        let error = intent.error.as_ref().map(|error| {
            let method = error.method.as_ref().map(|id| self.show_method(&self.methods[id]));
            json!({
                "charge": intent.charge, "code": error.code, "decline_code": error.decline_code,
                "message": "The payment failed.", "payment_method": method, "type": error.kind,
            })
        });
        let shown = json!({
            "id": intent.id, "object": "payment_intent", "amount": intent.amount, "amount_capturable": reserved,
            "amount_details": { "tip": {} }, "amount_received": charge.map_or(0, |charge| charge.captured),
            "canceled_at": intent.cancelled_ms.map(s), "cancellation_reason": intent.cancellation_reason,
            "capture_method": if intent.manual { "manual" } else { "automatic_async" },
            "client_secret": format!("{}_secret_s1mulat0r", intent.id), "confirmation_method": "automatic",
            "created": s(intent.created_ms), "currency": intent.currency, "customer": intent.customer,
            "last_payment_error": error,
            "latest_charge": named(intent.charge.as_ref(), "latest_charge", expand, |id| {
                self.show_charge(&self.charges[id], &[])
            }),
            "livemode": false, "metadata": intent.metadata,
            "next_action": self.next_action(intent),
            "payment_method": named(intent.method.as_ref(), "payment_method", expand, |id| {
                self.show_method(&self.methods[id])
            }),
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": intent.kinds,
            "status": intent.status,
        });
        with_nulls(
            shown,
            &[
                "application",
                "application_fee_amount",
                "automatic_payment_methods",
                "customer_account",
                "description",
                "excluded_payment_method_types",
                "managed_payments",
                "on_behalf_of",
                "payment_method_configuration_details",
                "processing",
                "receipt_email",
                "review",
                "setup_future_usage",
                "shipping",
                "source",
                "statement_descriptor",
                "statement_descriptor_suffix",
                "transfer_group",
            ],
        )
    }

    pub fn show_charge(&self, charge: &Charge, _expand: &[String]) -> Value {
        let mut details = json!({ "type": charge.kind.name() });
        details[charge.kind.name()] = match charge.kind {
            super::cards::Kind::Card { last4, .. } => {
                let mut card =
                    json!({ "brand": "visa", "country": "JP", "exp_month": 12, "exp_year": 2034, "last4": last4 });
                if charge.captured == 0 && charge.status == "succeeded" {
                    card["capture_before"] = json!(s(charge.capture_before_ms));
                }
                card
            }
            _ => json!({}),
        };
        let shown = json!({
            "id": charge.id, "object": "charge", "amount": charge.amount, "amount_captured": charge.captured,
            "amount_refunded": charge.refunded,
            "balance_transaction": charge.line,
            "billing_details": { "address": null, "email": null, "name": null, "phone": null },
            "captured": charge.captured > 0, "created": s(charge.created_ms),
            "currency": "jpy", "customer": self.intents[&charge.intent].customer,
            "disputed": false,
            "failure_code": charge.failure.map(|(code, _)| code), "fraud_details": {},
            "livemode": false, "metadata": self.intents[&charge.intent].metadata,
            "paid": charge.status == "succeeded", "payment_intent": charge.intent,
            "payment_method": charge.method, "payment_method_details": details,
            "refunded": charge.captured > 0 && charge.refunded == charge.captured,
            "status": charge.status,
        });
        with_nulls(
            shown,
            &[
                "application",
                "application_fee",
                "application_fee_amount",
                "calculated_statement_descriptor",
                "description",
                "failure_balance_transaction",
                "failure_message",
                "on_behalf_of",
                "outcome",
                "receipt_email",
                "receipt_number",
                "receipt_url",
                "review",
                "shipping",
                "source",
                "source_transfer",
                "statement_descriptor",
                "statement_descriptor_suffix",
                "transfer_data",
                "transfer_group",
            ],
        )
    }

    pub fn show_refund(&self, refund: &Refund) -> Value {
        let charge = &self.charges[&refund.charge];
        let mut shown = json!({
            "id": refund.id, "object": "refund", "amount": refund.amount, "balance_transaction": refund.line,
            "charge": refund.charge, "created": s(refund.created_ms), "currency": "jpy",
            "customer": self.intents[&refund.intent].customer, "customer_account": null,
            "metadata": refund.metadata, "payment_intent": refund.intent, "payment_method": charge.method,
            "reason": null, "receipt_number": null, "source_transfer_reversal": null, "status": refund.status,
            "transfer_reversal": null,
        });
        if let Some(failure) = refund.failure {
            shown["failure_reason"] = json!(failure);
        }
        shown
    }

    pub fn show_setup(&self, setup: &Setup, expand: &[String]) -> Value {
        let asked = (setup.status == "requires_action").then(|| {
            json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": "" } })
        });
        let error = setup.error.map(|(code, decline_code)| {
            json!({ "code": code, "decline_code": decline_code, "message": "The card was not saved.", "type": "card_error" })
        });
        let shown = json!({
            "id": setup.id, "object": "setup_intent",
            "client_secret": format!("{}_secret_s1mulat0r", setup.id),
            "created": s(setup.created_ms), "customer": setup.customer,
            "last_setup_error": error,
            "livemode": false, "metadata": setup.metadata, "next_action": asked,
            "payment_method": named(setup.method.as_ref(), "payment_method", expand, |id| {
                self.show_method(&self.methods[id])
            }),
            "payment_method_types": setup.kinds, "status": setup.status,
            "usage": setup.usage,
        });
        with_nulls(
            shown,
            &[
                "application",
                "automatic_payment_methods",
                "cancellation_reason",
                "description",
                "excluded_payment_method_types",
                "latest_attempt",
                "mandate",
                "on_behalf_of",
                "payment_method_configuration_details",
                "payment_method_options",
                "single_use_mandate",
            ],
        )
    }

    pub fn show_line(&self, line: &Line, expand: &[String]) -> Value {
        let source = named(line.source.as_ref(), "source", expand, |id| {
            if let Some(charge) = self.charges.get(id) {
                return self.show_charge(charge, &[]);
            }
            match (self.refunds.get(id), self.paid_out.get(id)) {
                (Some(refund), _) => self.show_refund(refund),
                (None, Some(amount)) => self.show_payout(id, *amount, line),
                (None, None) => Value::Null,
            }
        });
        let details: Vec<Value> = (line.fee > 0)
            .then(|| json!({ "amount": line.fee, "application": null, "currency": "jpy", "description": "Stripe processing fees", "type": "stripe_fee" }))
            .into_iter()
            .collect();
        json!({
            "id": line.id, "object": "balance_transaction", "amount": line.amount, "available_on": s(line.created_ms),
            "balance_type": "payments", "created": s(line.created_ms), "currency": "jpy", "description": null,
            "exchange_rate": null, "fee": line.fee, "fee_details": details, "net": line.amount - line.fee,
            "reporting_category": line.category, "source": source, "status": "available", "type": line.kind,
        })
    }

    fn show_payout(&self, id: &str, amount: i64, line: &Line) -> Value {
        let shown = json!({
            "id": id, "object": "payout", "amount": amount,
            "arrival_date": s(line.created_ms), "automatic": true, "balance_transaction": line.id,
            "created": s(line.created_ms), "currency": "jpy",
            "livemode": false,
            "metadata": {}, "method": "standard",
            "reconciliation_status": "completed", "source_type": "card",
            "status": "paid", "type": "bank_account",
        });
        with_nulls(
            shown,
            &[
                "application_fee",
                "application_fee_amount",
                "description",
                "destination",
                "failure_balance_transaction",
                "failure_code",
                "failure_message",
                "original_payout",
                "payout_method",
                "reversed_by",
                "statement_descriptor",
                "trace_id",
            ],
        )
    }
}
