//! Pure: the file by which a bank is told whom to pay (全銀協規定形式, 総合振込).
//!
//! Records of 120 bytes with CRLF: one header, a record for each payment, a trailer with count and sum, an end. Numbers are
//! right-aligned with zeros, texts left-aligned with spaces, in half-width kana (Shift_JIS, code class 0).

use jiff::civil::Date;

use super::{
    kana::half_width,
    payee::{AccountType, Payee, Payer},
};

/// Bytes of a record, without its CRLF.
const RECORD: usize = 120;
/// What one payment can bear.
pub(super) const MAX_AMOUNT: i64 = 9_999_999_999;
/// How many a file can bear.
pub(super) const MAX_PAYMENTS: usize = 999_999;

/// One payment.
#[derive(Debug, Clone)]
pub(super) struct Payment<'a> {
    pub(super) to: &'a Payee,
    pub(super) amount_minor: i64,
}

/// A record that is being written.
struct Record(Vec<u8>);

impl Record {
    fn new(class: &str) -> Self {
        Self(class.as_bytes().to_vec())
    }

    fn digits(mut self, number: impl std::fmt::Display, width: usize) -> Self {
        self.0.extend(format!("{number:0>width$}").into_bytes());
        self
    }

    fn text(mut self, text: &str, width: usize) -> Self {
        let mut bytes = half_width(text);
        bytes.resize(width, b' ');
        self.0.extend(bytes);
        self
    }

    fn end(mut self, to: &mut Vec<u8>) {
        self.0.resize(RECORD, b' ');
        to.append(&mut self.0);
        to.extend(b"\r\n");
    }
}

fn kind(account: AccountType) -> u8 {
    match account {
        AccountType::Ordinary => 1,
        AccountType::Current => 2,
        AccountType::Savings => 4,
    }
}

/// The file. Names of banks and branches may stay empty: their codes count.
pub(super) fn file(payer: &Payer, on: Date, payments: &[Payment<'_>]) -> Vec<u8> {
    let mut file = Vec::with_capacity((payments.len() + 3) * (RECORD + 2));
    Record::new("1")
        .digits(21, 2)
        .digits(0, 1)
        .digits(&payer.consignor_code, 10)
        .text(&payer.name_kana, 40)
        .digits(on.month(), 2)
        .digits(on.day(), 2)
        .digits(&payer.bank_code, 4)
        .text("", 15)
        .digits(&payer.branch_code, 3)
        .text("", 15)
        .digits(kind(payer.account_type), 1)
        .digits(&payer.account_number, 7)
        .end(&mut file);
    for payment in payments {
        Record::new("2")
            .digits(&payment.to.bank_code, 4)
            .text("", 15)
            .digits(&payment.to.branch_code, 3)
            .text("", 15)
            // 手形交換所番号: not used.
            .digits(0, 4)
            .digits(kind(payment.to.account_type), 1)
            .digits(&payment.to.account_number, 7)
            .text(&payment.to.holder_kana, 30)
            .digits(payment.amount_minor, 10)
            // 新規コード: neither the first payment nor a changed account.
            .digits(0, 1)
            // 顧客コード 1 and 2.
            .digits(0, 10)
            .digits(0, 10)
            // 振込指定区分: by wire.
            .digits(7, 1)
            .end(&mut file);
    }
    let sum: i64 = payments.iter().map(|payment| payment.amount_minor).sum();
    Record::new("8").digits(payments.len(), 6).digits(sum, 12).end(&mut file);
    Record::new("9").end(&mut file);
    file
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn every_record_has_its_fields_at_their_places() {
        let payer = Payer {
            consignor_code: "0000012345".to_owned(),
            name_kana: "ハナミドウ(カ".to_owned(),
            bank_code: "0005".to_owned(),
            branch_code: "001".to_owned(),
            account_type: AccountType::Current,
            account_number: "0000777".to_owned(),
        };
        let payee = Payee {
            name_kana: "ヤマダ サクラ".to_owned(),
            bank_code: "0033".to_owned(),
            branch_code: "002".to_owned(),
            account_type: AccountType::Savings,
            account_number: "1234567".to_owned(),
            holder_kana: "ヤマダ サクラ".to_owned(),
            registration: None,
        };
        let payments = [Payment { to: &payee, amount_minor: 12_345 }, Payment { to: &payee, amount_minor: 55 }];
        let file = file(&payer, date(2026, 12, 5), &payments);
        let records: Vec<&[u8]> = file.chunks(122).collect();
        assert_eq!(records.len(), 5);
        assert!(records.iter().all(|record| record.len() == 122 && record.ends_with(b"\r\n")));
        let (header, data) = (records[0], records[1]);
        assert_eq!(&header[..14], b"12100000012345");
        assert_eq!(&header[14..22], b"\xCA\xC5\xD0\xC4\xDE\xB3(\xB6");
        assert_eq!(&header[54..58], b"1205");
        assert_eq!((&header[58..62], &header[77..80]), (&b"0005"[..], &b"001"[..]));
        assert_eq!(&header[95..103], b"20000777");
        assert_eq!((&data[..5], &data[20..23]), (&b"20033"[..], &b"002"[..]));
        assert_eq!(&data[38..50], b"000041234567");
        assert_eq!(&data[50..58], b"\xD4\xCF\xC0\xDE \xBB\xB8\xD7");
        assert_eq!(&data[80..91], b"00000123450");
        assert_eq!((data[111], data[112]), (b'7', b' '));
        assert_eq!(&records[3][..19], b"8000002000000012400");
        assert_eq!(records[4][0], b'9');
    }
}
