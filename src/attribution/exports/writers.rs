//! Engine: rows into a file, row by row: CSV, JSON, XLSX, Parquet. Memory does not grow with the file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use serde::{Deserialize, Serialize};

use super::columns::{Column, Holds, Row, Value};
use crate::attribution::report::{civil, guard};

/// Rows of an XLSX sheet (its format's limit), the header's row left out.
pub(super) const MAX_XLSX_ROWS: i64 = 1_048_575;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// RFC 4180 with CRLF, UTF-8 with BOM, texts guarded against formulas, Japan's time.
    Csv,
    /// A workbook with one sheet; Japan's time.
    Xlsx,
    /// For data people: yen as int64, times as UTC milliseconds.
    Parquet,
    /// An array of objects; times as Unix milliseconds.
    Json,
}

impl Format {
    const ALL: &[Self] = &[Self::Csv, Self::Xlsx, Self::Parquet, Self::Json];

    /// As stored, and the file's ending.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Json => "application/json",
        }
    }
}

crate::stored_as_text!(Format);

/// A file that is being written.
pub(super) enum Writer<R> {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Json {
        file: BufWriter<File>,
        first: bool,
    },
    Xlsx(Box<sheet::Sheet>),
    #[cfg(feature = "parquet")]
    Parquet(Box<columnar::Table<R>>),
}

impl<R: Row> Writer<R> {
    /// Begins a file of this format; `name` stands where a format names what is in it.
    pub(super) fn begin(format: Format, name: &str, file: File) -> io::Result<Self> {
        match format {
            Format::Csv => {
                let mut file = BufWriter::new(file);
                file.write_all(b"\xef\xbb\xbf")?;
                let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(file);
                csv.write_record(R::COLUMNS.iter().map(|column| column.name))?;
                Ok(Self::Csv(Box::new(csv)))
            }
            Format::Json => {
                let mut file = BufWriter::new(file);
                file.write_all(b"[")?;
                Ok(Self::Json { file, first: true })
            }
            Format::Xlsx => Ok(Self::Xlsx(Box::new(sheet::Sheet::begin::<R>(name, file)?))),
            #[cfg(feature = "parquet")]
            Format::Parquet => Ok(Self::Parquet(Box::new(columnar::Table::begin(name, file)?))),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Err(io::Error::other("this server was built without Parquet")),
        }
    }

    /// Writes rows.
    pub(super) fn write(&mut self, rows: &[R]) -> io::Result<()> {
        match self {
            Self::Csv(csv) => {
                for row in rows {
                    csv.write_record(R::COLUMNS.iter().map(|column| cell(column, row)))?;
                }
                Ok(())
            }
            Self::Json { file, first } => {
                for row in rows {
                    file.write_all(if std::mem::take(first) { b"\n" } else { b",\n" })?;
                    serde_json::to_writer(&mut *file, &object(row))?;
                }
                Ok(())
            }
            Self::Xlsx(sheet) => sheet.write(rows),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.write(rows),
        }
    }

    /// Ends the file and gives it back.
    pub(super) fn end(self) -> io::Result<File> {
        match self {
            Self::Csv(csv) => Ok(csv.into_inner().map_err(csv::IntoInnerError::into_error)?.into_inner()?),
            Self::Json { mut file, .. } => {
                file.write_all(b"\n]\n")?;
                Ok(file.into_inner()?)
            }
            Self::Xlsx(sheet) => sheet.end(),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.end(),
        }
    }
}

fn cell<R>(column: &Column<R>, row: &R) -> String {
    match (column.get)(row) {
        Value::Text(text) if column.holds == Holds::Text => guard(text),
        Value::Text(text) => text.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Time(at) => civil(at),
        Value::Nothing => String::new(),
    }
}

fn object<R: Row>(row: &R) -> serde_json::Map<String, serde_json::Value> {
    let value = |column: &Column<R>| match (column.get)(row) {
        Value::Text(text) => text.into(),
        Value::Number(number) => number.into(),
        Value::Time(at) => at.0.into(),
        Value::Nothing => serde_json::Value::Null,
    };
    let name = |column: &Column<R>| {
        if column.holds == Holds::Time { format!("{}_ms", column.name) } else { column.name.to_owned() }
    };
    R::COLUMNS.iter().map(|column| (name(column), value(column))).collect()
}

mod sheet {
    //! Engine: a workbook of one sheet. Rows leave memory as they are written (the library's constant-memory mode).

    use std::{fs::File, io};

    use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

    use super::{Row, Value};
    use crate::clock::Millis;

    /// Days from 1899-12-30, which Excel counts from, to 1970-01-01.
    const EPOCH_DAYS: f64 = 25_569.0;
    const DAY_MS: f64 = 86_400_000.0;
    const JAPAN_MS: i64 = 9 * 3_600_000;

    pub(in crate::attribution::exports) struct Sheet {
        file: File,
        book: Workbook,
        time: Format,
        yen: Format,
        next: u32,
    }

    fn other(error: XlsxError) -> io::Error {
        io::Error::other(error)
    }

    impl Sheet {
        pub(super) fn begin<R: Row>(name: &str, file: File) -> io::Result<Self> {
            let mut book = Workbook::new();
            let bold = Format::new().set_bold();
            let sheet = book.add_worksheet_with_constant_memory().map_err(other)?;
            let header = |sheet: &mut Worksheet| -> Result<(), XlsxError> {
                sheet.set_name(name)?.set_freeze_panes(1, 0)?;
                for (n, column) in (0u16..).zip(R::COLUMNS) {
                    sheet.write_string_with_format(0, n, column.name, &bold)?;
                }
                Ok(())
            };
            header(sheet).map_err(other)?;
            let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
            let yen = Format::new().set_num_format("#,##0");
            Ok(Self { file, book, time, yen, next: 1 })
        }

        pub(super) fn write<R: Row>(&mut self, rows: &[R]) -> io::Result<()> {
            let sheet = self.book.worksheet_from_index(0).map_err(other)?;
            for row in rows {
                for (n, column) in (0u16..).zip(R::COLUMNS) {
                    match (column.get)(row) {
                        // A string cell is never a formula.
                        Value::Text(text) => sheet.write_string(self.next, n, text).map(drop),
                        Value::Number(number) => {
                            sheet.write_number_with_format(self.next, n, exact(number)?, &self.yen).map(drop)
                        }
                        Value::Time(at) => {
                            sheet.write_number_with_format(self.next, n, serial(at), &self.time).map(drop)
                        }
                        Value::Nothing => Ok(()),
                    }
                    .map_err(other)?;
                }
                self.next += 1;
            }
            Ok(())
        }

        pub(super) fn end(mut self) -> io::Result<File> {
            self.book.save_to_writer(&mut self.file).map_err(other)?;
            Ok(self.file)
        }
    }

    /// A sheet's numbers are floating: what does not fit exactly is refused, not rounded.
    fn exact(number: i64) -> io::Result<f64> {
        const EXACT: i64 = 1 << 53;
        if (-EXACT..=EXACT).contains(&number) {
            #[expect(clippy::cast_precision_loss, reason = "it fits exactly")]
            return Ok(number as f64);
        }
        Err(io::Error::other("an amount is too large for a spreadsheet's numbers; choose another format"))
    }

    /// A moment as a spreadsheet counts days, in Japan's time.
    #[expect(clippy::cast_precision_loss, reason = "a sheet's days are floating; milliseconds of this era fit exactly")]
    fn serial(at: Millis) -> f64 {
        (at.0 + JAPAN_MS) as f64 / DAY_MS + EPOCH_DAYS
    }
}

#[cfg(feature = "parquet")]
mod columnar {
    //! Engine: a Parquet file, group of rows by group of rows.

    use std::{fs::File, io, sync::Arc};

    use parquet::{
        basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
        data_type::{ByteArray, ByteArrayType, Int64Type},
        errors::ParquetError,
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::types::{Type, TypePtr},
    };

    use super::{Column, Holds, Row, Value};

    /// Rows of a group: what is in memory at once.
    const GROUP: usize = 10_000;

    pub(in crate::attribution::exports) struct Table<R> {
        file: SerializedFileWriter<File>,
        waiting: Vec<R>,
    }

    fn other(error: ParquetError) -> io::Error {
        io::Error::other(error)
    }

    fn field<R>(column: &Column<R>) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match column.holds {
            Holds::Word | Holds::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Holds::Number => (Physical::INT64, None),
            Holds::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        };
        let repetition = if column.always { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let field = Type::primitive_type_builder(column.name, physical);
        Ok(Arc::new(field.with_logical_type(logical).with_repetition(repetition).build()?))
    }

    impl<R: Row> Table<R> {
        pub(super) fn begin(name: &str, file: File) -> io::Result<Self> {
            let fields = R::COLUMNS.iter().map(field).collect::<Result<Vec<_>, _>>().map_err(other)?;
            let schema = Type::group_type_builder(name).with_fields(fields).build().map_err(other)?;
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let file = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(other)?;
            Ok(Self { file, waiting: Vec::with_capacity(GROUP) })
        }

        pub(super) fn write(&mut self, rows: &[R]) -> io::Result<()> {
            self.waiting.extend_from_slice(rows);
            if self.waiting.len() >= GROUP { self.flush().map_err(other) } else { Ok(()) }
        }

        fn flush(&mut self) -> Result<(), ParquetError> {
            let rows = std::mem::take(&mut self.waiting);
            if rows.is_empty() {
                return Ok(());
            }
            let mut group = self.file.next_row_group()?;
            for column in R::COLUMNS {
                let mut writer =
                    group.next_column()?.ok_or_else(|| ParquetError::General("a column too few".to_owned()))?;
                let cells = || rows.iter().map(|row| (column.get)(row));
                let levels: Vec<i16> = cells().map(|cell| i16::from(cell != Value::Nothing)).collect();
                let levels = (!column.always).then_some(levels.as_slice());
                match column.holds {
                    Holds::Word | Holds::Text => {
                        let text = |cell| if let Value::Text(text) = cell { Some(ByteArray::from(text)) } else { None };
                        let values: Vec<ByteArray> = cells().filter_map(text).collect();
                        writer.typed::<ByteArrayType>().write_batch(&values, levels, None)?;
                    }
                    Holds::Number | Holds::Time => {
                        let number = |cell| match cell {
                            Value::Number(number) => Some(number),
                            Value::Time(at) => Some(at.0),
                            Value::Text(_) | Value::Nothing => None,
                        };
                        let values: Vec<i64> = cells().filter_map(number).collect();
                        writer.typed::<Int64Type>().write_batch(&values, levels, None)?;
                    }
                }
                writer.close()?;
            }
            group.close()?;
            Ok(())
        }

        pub(super) fn end(mut self) -> io::Result<File> {
            self.flush().map_err(other)?;
            self.file.into_inner().map_err(other)
        }
    }
}
