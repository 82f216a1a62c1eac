//! Pure: a merchant's file into goods.
//!
//! Three kinds of header are known: our own, Shopify's product CSV and its newer form. Rows with the same handle are the
//! variants of one product; its title and description stand on its first row.
//! Invariant: a row with a fault gives no variant; every fault names its row as the spreadsheet shows it.

use std::{borrow::Cow, collections::HashMap};

use super::{
    RowError,
    cells::{self, Tax},
    html,
    lines::{Record, Records},
};
use crate::commerce::catalog::{MAX_DESCRIPTION_CHARS, MAX_TITLE_CHARS};

/// Rows of a file, the header and blank ones not counted.
pub(super) const MAX_ROWS: u32 = 50_000;
/// Characters of a handle or code.
const MAX_NAME_CHARS: usize = 255;
/// Shopify's option of a product without variants.
const NO_OPTION: &str = "Default Title";
/// Between the values of several options.
const OPTION_SEPARATOR: &str = " / ";

/// States of a product that is not for sale.
const UNLISTED: [&str; 2] = ["draft", "archived"];

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Handle,
    Title,
    Description,
    Variant,
    Option1,
    Option2,
    Option3,
    Code,
    Jan,
    Price,
    TaxRate,
    Taxable,
    Stock,
    Status,
}

/// Headings of our own file, of Shopify's, of Shopify's newer one; empty where there is none.
const HEADINGS: [(Column, [&str; 3]); 14] = [
    (Column::Handle, ["handle", "Handle", "URL handle"]),
    (Column::Title, ["title", "Title", "Title"]),
    (Column::Description, ["description", "Body (HTML)", "Description"]),
    (Column::Variant, ["variant", "", ""]),
    (Column::Option1, ["", "Option1 Value", "Option1 value"]),
    (Column::Option2, ["", "Option2 Value", "Option2 value"]),
    (Column::Option3, ["", "Option3 Value", "Option3 value"]),
    (Column::Code, ["code", "Variant SKU", "SKU"]),
    (Column::Jan, ["jan", "Variant Barcode", "Barcode"]),
    (Column::Price, ["price", "Variant Price", "Price"]),
    (Column::TaxRate, ["tax_rate", "tax_rate", "tax_rate"]),
    (Column::Taxable, ["", "Variant Taxable", "Charge tax"]),
    (Column::Stock, ["stock", "Variant Inventory Qty", "Inventory quantity"]),
    (Column::Status, ["", "Status", "Status"]),
];
/// Without these a file is of no use.
const REQUIRED: [Column; 3] = [Column::Handle, Column::Title, Column::Price];

/// Which headings a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Template {
    Own,
    Shopify,
    NewerShopify,
}

impl Template {
    fn of(headings: &[String]) -> Self {
        let has = |name: &str| headings.iter().any(|heading| heading.eq_ignore_ascii_case(name));
        if has("URL handle") {
            Self::NewerShopify
        } else if ["Variant Price", "Variant SKU", "Body (HTML)", "Option1 Value"].into_iter().any(has) {
            Self::Shopify
        } else {
            Self::Own
        }
    }
}

/// Why no row of a file can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the file must be UTF-8; in Excel, save it as \"CSV UTF-8 (comma delimited)\"")]
    NotUtf8,
    #[error("the file must not contain U+0000")]
    Nul,
    #[error("the file is empty; its first row must be the header")]
    Empty,
    #[error("the header has no column `{0}`")]
    Missing(&'static str),
    #[error("the header has the column `{0}` twice")]
    Twice(String),
    #[error("the file must have at most {MAX_ROWS} rows; split it")]
    TooManyRows,
    #[error("a quote in row {0} is never closed")]
    OpenQuote(u32),
}

/// Where each column stands.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    template: Template,
    headings: Vec<String>,
    places: [Option<usize>; HEADINGS.len()],
}

impl Columns {
    fn parse(header: &Record<'_>) -> Result<Self, Unusable> {
        let headings: Vec<String> = header.cells.iter().map(|cell| cell.trim().to_owned()).collect();
        let template = Template::of(&headings);
        let mut places = [None; HEADINGS.len()];
        for (column, names) in HEADINGS {
            let name = names[template as usize];
            let mut found = (0..headings.len()).filter(|at| headings[*at].eq_ignore_ascii_case(name));
            match found.next() {
                // An empty heading is a column without meaning, as is a column that this template does not have.
                _ if name.is_empty() => {}
                None if REQUIRED.contains(&column) => return Err(Unusable::Missing(name)),
                first => places[column as usize] = first,
            }
            if !name.is_empty() && found.next().is_some() {
                return Err(Unusable::Twice(name.to_owned()));
            }
        }
        Ok(Self { template, headings, places })
    }

    /// The column's heading in this file.
    pub(super) fn heading(&self, column: Column) -> String {
        let place = self.places[column as usize];
        place.and_then(|at| self.headings.get(at)).cloned().unwrap_or_default()
    }

    /// The column that names a variant.
    fn named(&self) -> Column {
        if self.template == Template::Own { Column::Variant } else { Column::Option1 }
    }

    /// What a row says in a column; blank cells say nothing.
    fn cell<'r>(&self, record: &'r Record<'_>, column: Column) -> Option<&'r str> {
        let cell = record.cells.get(self.places[column as usize]?)?;
        Some(cell.trim()).filter(|cell| !cell.is_empty())
    }
}

/// A SKU as a row describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) row: u32,
    pub(super) name: String,
    pub(super) code: Option<String>,
    pub(super) jan: Option<String>,
    pub(super) price_minor: i64,
    pub(super) tax: Tax,
    /// Units on the shelf.
    pub(super) counted: Option<i64>,
}

/// A product as its rows describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Goods {
    pub(super) handle: String,
    /// Its first row.
    pub(super) row: u32,
    /// How many rows it has, faulty ones included.
    pub(super) rows: u32,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// The row with a title or description that cannot be used.
    pub(super) spoilt: Option<u32>,
    pub(super) variants: Vec<Variant>,
    /// A draft, or archived.
    unlisted: bool,
    errors: Vec<RowError>,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) columns: Columns,
    /// Rows below the header that are not blank.
    pub(super) rows: u32,
    /// Of them, rows of drafts and archived products.
    pub(super) skipped: u32,
    /// In the order of their first rows.
    pub(super) goods: Vec<Goods>,
    pub(super) errors: Vec<RowError>,
}

/// Reads a file.
pub(super) fn read(file: &[u8]) -> Result<Sheet, Unusable> {
    let text = std::str::from_utf8(file).map_err(|_| Unusable::NotUtf8)?;
    if text.contains('\0') {
        return Err(Unusable::Nul);
    }
    let mut records = Records::of(text.trim_start_matches('\u{feff}'));
    let header = records.next().ok_or(Unusable::Empty)?.map_err(|open| Unusable::OpenQuote(open.row))?;
    let columns = Columns::parse(&header)?;
    let mut sheet = Sheet { columns, rows: 0, skipped: 0, goods: Vec::new(), errors: Vec::new() };
    let mut known: HashMap<String, usize> = HashMap::new();
    for record in records {
        let record = record.map_err(|open| Unusable::OpenQuote(open.row))?;
        if record.cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        sheet.rows += 1;
        if sheet.rows > MAX_ROWS {
            return Err(Unusable::TooManyRows);
        }
        match handle(&sheet.columns, &record) {
            Ok(handle) => {
                let at = *known.entry(handle.to_owned()).or_insert_with(|| {
                    let goods = Goods { handle: handle.to_owned(), row: record.row, ..Goods::default() };
                    sheet.goods.push(goods);
                    sheet.goods.len() - 1
                });
                Row { columns: &sheet.columns, record: &record, goods: &mut sheet.goods[at] }.read();
            }
            Err(message) => {
                let column = sheet.columns.heading(Column::Handle);
                sheet.errors.push(RowError { row: record.row, column, message });
            }
        }
    }
    sheet.leave_out_unlisted();
    sheet.leave_out_twins();
    Ok(sheet)
}

fn handle<'r>(columns: &Columns, record: &'r Record<'_>) -> Result<&'r str, String> {
    let handle = columns.cell(record, Column::Handle).ok_or("is missing")?;
    bounded(handle, MAX_NAME_CHARS)
}

fn bounded(text: &str, max_chars: usize) -> Result<&str, String> {
    let chars = text.chars().count();
    if chars > max_chars { Err(format!("must have at most {max_chars} characters; it has {chars}")) } else { Ok(text) }
}

/// One row on its way into its product.
struct Row<'s> {
    columns: &'s Columns,
    record: &'s Record<'s>,
    goods: &'s mut Goods,
}

impl Row<'_> {
    fn read(mut self) {
        let earlier = self.goods.errors.len();
        self.goods.rows += 1;
        self.read_product();
        let variant = self.read_variant();
        if self.goods.errors.len() == earlier {
            self.goods.variants.extend(variant);
        }
    }

    fn cell(&self, column: Column) -> Option<&str> {
        self.columns.cell(self.record, column)
    }

    fn fault(&mut self, column: Column, message: String) {
        self.goods.errors.push(RowError { row: self.record.row, column: self.columns.heading(column), message });
    }

    /// Reads a cell; a blank one and a faulty one give `None`.
    fn parse<T>(&mut self, column: Column, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match self.cell(column).map(parse)? {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(column, message);
                None
            }
        }
    }

    fn read_product(&mut self) {
        let status = self.cell(Column::Status).unwrap_or_default().to_ascii_lowercase();
        self.goods.unlisted |= UNLISTED.contains(&status.as_str());
        let earlier = self.goods.errors.len();
        if self.goods.title.is_none() {
            self.goods.title = self.parse(Column::Title, |text| bounded(text, MAX_TITLE_CHARS).map(str::to_owned));
        }
        if self.goods.description.is_none() {
            let is_html = self.columns.template != Template::Own;
            self.goods.description = self.parse(Column::Description, |text| {
                let text = if is_html { Cow::Owned(html::plain(text)) } else { Cow::Borrowed(text) };
                bounded(&text, MAX_DESCRIPTION_CHARS).map(str::to_owned)
            });
        }
        if self.goods.errors.len() > earlier {
            self.goods.spoilt.get_or_insert(self.record.row);
        }
    }

    fn read_variant(&mut self) -> Option<Variant> {
        if self.is_picture() {
            return None;
        }
        let name = bounded(&self.variant_name(), MAX_TITLE_CHARS).map(str::to_owned);
        let code = self.parse(Column::Code, |text| bounded(text, MAX_NAME_CHARS).map(str::to_owned));
        let jan = self.parse(Column::Jan, cells::jan);
        if self.cell(Column::Price).is_none() {
            self.fault(Column::Price, "is missing".to_owned());
        }
        let price_minor = self.parse(Column::Price, cells::price);
        let tax = match self.cell(Column::TaxRate) {
            Some(_) => self.parse(Column::TaxRate, cells::tax_rate),
            None => self.parse(Column::Taxable, cells::taxable),
        };
        let counted = self.parse(Column::Stock, cells::counted);
        let name = name.map_err(|message| self.fault(self.columns.named(), message)).ok()?;
        let tax = tax.unwrap_or(Tax::Unsaid);
        Some(Variant { row: self.record.row, name, code, jan, price_minor: price_minor?, tax, counted })
    }

    /// Whether a row of Shopify's only shows one more picture of its product.
    fn is_picture(&self) -> bool {
        const OF_GOODS: [Column; 8] = [
            Column::Title,
            Column::Option1,
            Column::Option2,
            Column::Option3,
            Column::Code,
            Column::Jan,
            Column::Price,
            Column::Stock,
        ];
        self.columns.template != Template::Own && OF_GOODS.into_iter().all(|column| self.cell(column).is_none())
    }

    fn variant_name(&self) -> String {
        if let Some(name) = self.cell(Column::Variant) {
            return name.to_owned();
        }
        let options = [Column::Option1, Column::Option2, Column::Option3].map(|column| self.cell(column));
        let values: Vec<&str> = options.into_iter().flatten().filter(|value| *value != NO_OPTION).collect();
        values.join(OPTION_SEPARATOR)
    }
}

impl Sheet {
    fn leave_out_unlisted(&mut self) {
        let (unlisted, listed): (Vec<_>, Vec<_>) = self.goods.drain(..).partition(|goods| goods.unlisted);
        self.goods = listed;
        self.skipped = unlisted.iter().map(|goods| goods.rows).sum();
        for goods in &mut self.goods {
            self.errors.append(&mut goods.errors);
        }
    }

    /// Codes, JANs and the variants of a product name one SKU each: the first row keeps the name.
    fn leave_out_twins(&mut self) {
        let Self { columns, goods, errors, .. } = self;
        let (mut codes, mut jans) = (HashMap::new(), HashMap::new());
        for goods in goods {
            let mut names = HashMap::new();
            goods.variants.retain(|variant| {
                let twin = [
                    (Column::Code, variant.code.as_ref().and_then(|code| codes.get(code))),
                    (Column::Jan, variant.jan.as_ref().and_then(|jan| jans.get(jan))),
                    (columns.named(), names.get(&variant.name)),
                ];
                if let Some((column, first)) = twin.into_iter().find_map(|(column, first)| Some((column, *first?))) {
                    let message = format!("is the same as in row {first}");
                    errors.push(RowError { row: variant.row, column: columns.heading(column), message });
                    return false;
                }
                codes.extend(variant.code.clone().map(|code| (code, variant.row)));
                jans.extend(variant.jan.clone().map(|jan| (jan, variant.row)));
                names.insert(variant.name.clone(), variant.row);
                true
            });
        }
    }
}
