//! Pure: bank accounts as banks take them.

use serde::{Deserialize, Serialize};

use super::{
    SettlementError,
    kana::{half_width, katakana},
    terms::invalid,
};

/// Bytes of a holder's name in a bank's file.
const MAX_HOLDER: usize = 30;
/// Bytes of a payer's name in a bank's file.
const MAX_PAYER: usize = 40;

/// What kind of account (預金種目).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountType {
    /// 普通
    Ordinary,
    /// 当座
    Current,
    /// 貯蓄
    Savings,
}

impl AccountType {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Ordinary, Self::Current, Self::Savings];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Current => "current",
            Self::Savings => "savings",
        }
    }
}

crate::stored_as_text!(AccountType);

/// Where a liver's money goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payee {
    /// The liver's own name, in kana.
    pub name_kana: String,
    /// 4 digits.
    pub bank_code: String,
    /// 3 digits.
    pub branch_code: String,
    /// What kind of account.
    pub account_type: AccountType,
    /// Up to 7 digits.
    pub account_number: String,
    /// Whose account it is, in kana, as the bank writes it.
    pub holder_kana: String,
    /// T + 13 digits; absent: not registered.
    #[serde(default)]
    pub registration: Option<String>,
}

impl Payee {
    /// As it is kept.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] naming the field.
    pub(super) fn checked(self) -> Result<Self, SettlementError> {
        if let Some(number) = &self.registration
            && number.strip_prefix('T').is_none_or(|rest| !is_digits(rest, 13))
        {
            return invalid("registration must be T and 13 digits");
        }
        Ok(Self {
            name_kana: kana("name_kana", &self.name_kana, MAX_PAYER)?,
            bank_code: code("bank_code", &self.bank_code, 4)?,
            branch_code: code("branch_code", &self.branch_code, 3)?,
            account_type: self.account_type,
            account_number: number("account_number", &self.account_number, 7)?,
            holder_kana: kana("holder_kana", &self.holder_kana, MAX_HOLDER)?,
            registration: self.registration,
        })
    }
}

/// From which account a brand pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// What the bank calls the brand (委託者コード), up to 10 digits.
    pub consignor_code: String,
    /// The brand's name, in kana, as the bank writes it.
    pub name_kana: String,
    /// 4 digits.
    pub bank_code: String,
    /// 3 digits.
    pub branch_code: String,
    /// `ordinary` or `current`.
    pub account_type: AccountType,
    /// Up to 7 digits.
    pub account_number: String,
}

impl Payer {
    /// As it is kept.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] naming the field.
    pub(super) fn checked(self) -> Result<Self, SettlementError> {
        if self.account_type == AccountType::Savings {
            return invalid("account_type must be ordinary or current: banks transfer from no savings account");
        }
        Ok(Self {
            consignor_code: number("consignor_code", &self.consignor_code, 10)?,
            name_kana: kana("name_kana", &self.name_kana, MAX_PAYER)?,
            bank_code: code("bank_code", &self.bank_code, 4)?,
            branch_code: code("branch_code", &self.branch_code, 3)?,
            account_type: self.account_type,
            account_number: number("account_number", &self.account_number, 7)?,
        })
    }
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn code(name: &str, text: &str, count: usize) -> Result<String, SettlementError> {
    if is_digits(text, count) { Ok(text.to_owned()) } else { invalid(format!("{name} must have {count} digits")) }
}

/// A number is written with zeros before it.
fn number(name: &str, text: &str, count: usize) -> Result<String, SettlementError> {
    if text.is_empty() || text.len() > count || !is_digits(text, text.len()) {
        return invalid(format!("{name} must have 1 to {count} digits"));
    }
    Ok(format!("{text:0>count$}"))
}

fn kana(name: &str, text: &str, most: usize) -> Result<String, SettlementError> {
    let kana = match katakana(text) {
        Ok(kana) => kana,
        Err(wrong) => {
            return invalid(format!("{name} must be in kana, capitals and digits; `{wrong}` is not taken by banks"));
        }
    };
    if !(1..=most).contains(&half_width(&kana).len()) {
        return invalid(format!(
            "{name} must have 1 to {most} characters in half-width kana (a voiced one counts twice)"
        ));
    }
    Ok(kana)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payee() -> Payee {
        Payee {
            name_kana: "やまだ さくら".to_owned(),
            bank_code: "0001".to_owned(),
            branch_code: "123".to_owned(),
            account_type: AccountType::Ordinary,
            account_number: "4567".to_owned(),
            holder_kana: "ﾔﾏﾀﾞ ｻｸﾗ".to_owned(),
            registration: Some("T1234567890123".to_owned()),
        }
    }

    #[test]
    fn an_account_is_kept_in_the_form_of_the_bank_or_its_fault_is_named() {
        let kept = payee().checked().expect("an account");
        assert_eq!((&*kept.account_number, &*kept.holder_kana), ("0004567", "ヤマダ サクラ"));
        assert_eq!(kept.clone().checked().expect("again"), kept, "what is kept is taken again");
        let fault = |payee: Payee| payee.checked().expect_err("refused").to_string();
        assert!(fault(Payee { bank_code: "001".to_owned(), ..payee() }).contains("bank_code must have 4 digits"));
        assert!(fault(Payee { branch_code: "12a".to_owned(), ..payee() }).contains("branch_code"));
        assert!(fault(Payee { account_number: "12345678".to_owned(), ..payee() }).contains("account_number"));
        assert!(fault(Payee { holder_kana: "山田".to_owned(), ..payee() }).contains("`山`"));
        assert!(fault(Payee { holder_kana: "ガ".repeat(16), ..payee() }).contains("counts twice"));
        assert!(fault(Payee { registration: Some("T123".to_owned()), ..payee() }).contains("registration"));
    }
}
