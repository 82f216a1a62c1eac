//! Pure: CSV text into records.
//!
//! RFC 4180 with the liberties of spreadsheets: CRLF, LF or CR ends a record; a quote inside an unquoted field is itself.
//! Not the csv crate: it passes over blank lines, so rows would bear other numbers than the spreadsheet shows, and it
//! takes a quote that is never closed for the rest of the file.

use std::borrow::Cow;

/// A quote that is never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenQuote {
    /// Of the record it stands in; the first is 1.
    pub(super) row: u32,
}

/// One row of the spreadsheet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'t> {
    /// The first is 1.
    pub(super) row: u32,
    pub(super) cells: Vec<Cow<'t, str>>,
}

/// The records of a text, in order.
#[derive(Debug)]
pub(super) struct Records<'t> {
    rest: &'t str,
    row: u32,
}

impl<'t> Records<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text, row: 0 }
    }

    fn take_cell(&mut self) -> Result<Cow<'t, str>, OpenQuote> {
        let Some(inside) = self.rest.strip_prefix('"') else { return Ok(Cow::Borrowed(self.take_plain())) };
        let mut end = 0;
        let mut doubled = false;
        loop {
            end += inside[end..].find('"').ok_or(OpenQuote { row: self.row })?;
            if !inside[end + 1..].starts_with('"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let quoted = &inside[..end];
        self.rest = &inside[end + 1..];
        let mut cell = if doubled { Cow::Owned(quoted.replace("\"\"", "\"")) } else { Cow::Borrowed(quoted) };
        let tail = self.take_plain();
        if !tail.is_empty() {
            cell.to_mut().push_str(tail);
        }
        Ok(cell)
    }

    fn take_plain(&mut self) -> &'t str {
        let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
        let (cell, rest) = self.rest.split_at(end);
        self.rest = rest;
        cell
    }

    /// Steps over what ends a cell; true when the record goes on.
    fn take_comma(&mut self) -> bool {
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            return true;
        }
        let ends = ["\r\n", "\n", "\r"];
        self.rest = ends.iter().find_map(|end| self.rest.strip_prefix(end)).unwrap_or(self.rest);
        false
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Record<'t>, OpenQuote>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.row += 1;
        let mut cells = Vec::new();
        loop {
            match self.take_cell() {
                Ok(cell) => cells.push(cell),
                Err(open) => {
                    self.rest = "";
                    return Some(Err(open));
                }
            }
            if !self.take_comma() {
                return Some(Ok(Record { row: self.row, cells }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let records = Records::of(text).map(|record| record.expect("quotes are closed"));
        records.map(|record| record.cells.into_iter().map(Cow::into_owned).collect()).collect()
    }

    #[test]
    fn quotes_hold_commas_line_breaks_and_quotes() {
        assert_eq!(cells("a,\"b,\"\"c\"\"\r\nd\",\r\n"), [["a", "b,\"c\"\r\nd", ""]]);
        assert_eq!(cells("5\" nail,\"x\"y"), [["5\" nail", "xy"]]);
    }

    #[test]
    fn rows_are_numbered_as_the_spreadsheet_numbers_them() {
        let rows: Vec<_> = Records::of("a\n\n\"b\nb\"\rc").map(|record| record.expect("closed").row).collect();
        assert_eq!(rows, [1, 2, 3, 4]);
        assert_eq!(Records::of("a\n\"b\n").last(), Some(Err(OpenQuote { row: 2 })));
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_reads_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",あ\r\n ]{0,6}", 2..5), 1..6),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).expect("memory");
            }
            let text = String::from_utf8(writer.into_inner().expect("memory")).expect("UTF-8");
            prop_assert_eq!(cells(&text), rows);
        }

        #[test]
        fn rubbish_ends(text in "[a\",\r\n]{0,40}") {
            prop_assert!(Records::of(&text).count() <= text.len());
        }
    }
}
