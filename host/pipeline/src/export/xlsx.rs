//! Rows as a workbook (ECMA-376): the sheet `rows` is written as rows come, so that memory holds none of them, then the sheet
//! `provenance`. Texts stand in their cells.

use super::zip::{Archive, Part as Sheet};
use super::{Part, Provenance};
use crate::validate::json;
use ghtrader_market::{push_float, push_whole};
use serde_json::Value;
use std::fs::File;
use std::io::{Result, Write as _};

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/worksheets/sheet2.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="rows" sheetId="1" r:id="rId1"/><sheet name="provenance" sheetId="2" r:id="rId2"/></sheets></workbook>"#;
const SHEETS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#;
const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>"#;
const TAIL: &str = "</sheetData></worksheet>";
/// Longest text that a cell holds.
const CELL_CHARS: usize = 32_767;

/// One row on its way.
#[derive(Default)]
struct Row {
    text: Vec<u8>,
    number: u64,
    column: usize,
}

impl Row {
    /// Begins the row behind the last one.
    fn next(&mut self) {
        self.text.clear();
        self.number += 1;
        self.column = 0;
        self.text.extend_from_slice(b"<row r=\"");
        push_whole(&mut self.text, self.number.cast_signed());
        self.text.extend_from_slice(b"\">");
    }

    fn cell(&mut self, kind: &str) {
        self.text.extend_from_slice(b"<c r=\"");
        // A to Z, then AA and so on.
        if let Some(first) = (self.column / 26).checked_sub(1) {
            self.text.push(b'A' + first as u8);
        }
        self.text.push(b'A' + (self.column % 26) as u8);
        push_whole(&mut self.text, self.number.cast_signed());
        self.text.push(b'"');
        self.text.extend_from_slice(kind.as_bytes());
        self.column += 1;
    }

    fn text(&mut self, value: &str) {
        self.cell(" t=\"inlineStr\"><is><t>");
        for c in value.chars().take(CELL_CHARS) {
            match c {
                '&' => self.text.extend_from_slice(b"&amp;"),
                '<' => self.text.extend_from_slice(b"&lt;"),
                '>' => self.text.extend_from_slice(b"&gt;"),
                // XML has no other control characters.
                c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => {}
                c => self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.text.extend_from_slice(b"</t></is></c>");
    }

    /// A missing number is an empty cell.
    fn number(&mut self, value: f64) {
        if value.is_nan() {
            self.column += 1;
            return;
        }
        self.cell("><v>");
        push_float(&mut self.text, value);
        self.text.extend_from_slice(b"</v></c>");
    }

    fn end(&mut self, sheet: &mut Sheet) -> Result<()> {
        self.text.extend_from_slice(b"</row>");
        sheet.write_all(&self.text)
    }
}

/// A workbook while its rows are written.
pub(super) struct Book {
    sheet: Sheet,
    row: Row,
}

impl Book {
    pub(super) fn new(file: File, names: &[String]) -> Result<Self> {
        let archive = Archive::new(file).whole("[Content_Types].xml", TYPES)?.whole("_rels/.rels", RELATIONS)?;
        let archive = archive.whole("xl/workbook.xml", WORKBOOK)?.whole("xl/_rels/workbook.xml.rels", SHEETS)?;
        let mut sheet = archive.begin("xl/worksheets/sheet1.xml")?;
        sheet.write_all(HEAD.as_bytes())?;
        let mut row = Row::default();
        row.next();
        names.iter().for_each(|name| row.text(name));
        row.end(&mut sheet)?;
        Ok(Self { sheet, row })
    }

    pub(super) fn write(&mut self, part: &Part<'_>) -> Result<()> {
        let day = part.manifest.trading_day.to_string();
        for &at in part.order {
            let row = &mut self.row;
            row.next();
            row.text(&part.manifest.symbol);
            row.text(&day);
            row.number(f64::from(part.rows.seq[at]));
            row.text(&part.time(at));
            // A number of a cell has 15 digits; this one has 19.
            row.text(&part.rows.ts_ns[at].to_string());
            row.text(part.phase(at));
            if let Some((contract, segment)) = part.underlying {
                row.text(contract);
                row.number(f64::from(segment));
            }
            part.columns.iter().for_each(|c| row.number(part.rows.float(*c)[at]));
            row.end(&mut self.sheet)?;
        }
        Ok(())
    }

    pub(super) fn finish(self, provenance: Option<&Provenance>) -> Result<File> {
        let mut sheet = self.sheet;
        sheet.write_all(TAIL.as_bytes())?;
        let mut sheet = sheet.end()?.begin("xl/worksheets/sheet2.xml")?;
        sheet.write_all(HEAD.as_bytes())?;
        let mut lines = vec![("key".to_owned(), "value".to_owned())];
        if let Some(provenance) = provenance {
            leaves(String::new(), &json(provenance), &mut lines);
        }
        let mut row = Row::default();
        for (key, value) in &lines {
            row.next();
            row.text(key);
            row.text(value);
            row.end(&mut sheet)?;
        }
        sheet.write_all(TAIL.as_bytes())?;
        sheet.end()?.finish()
    }
}

/// The leaves of a document by their paths.
fn leaves(path: String, value: &Value, lines: &mut Vec<(String, String)>) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| leaves(inner(name), value, lines)),
        Value::Array(list) if list.iter().any(|v| v.is_object() || v.is_array()) => {
            list.iter().enumerate().for_each(|(at, value)| leaves(inner(&at.to_string()), value, lines));
        }
        Value::String(text) => lines.push((path, text.clone())),
        other => lines.push((path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-37: cells are named as a worksheet names them, and what XML would read as its own is written as text.
    #[test]
    fn cells_are_named_and_escaped() {
        let mut row = Row::default();
        row.next();
        row.text("a<&>\u{1}b");
        row.number(f64::NAN);
        row.number(0.05);
        row.column = 26;
        row.number(2.0);
        let text = String::from_utf8(row.text.clone()).unwrap();
        let expected = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>a&lt;&amp;&gt;b</t></is></c><c r=\"C1\"><v>0.05</v></c>\
                        <c r=\"AA1\"><v>2</v></c>";
        assert_eq!(text, expected);
    }
}
