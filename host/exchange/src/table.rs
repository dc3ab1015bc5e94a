//! Dated tables as text: one header line, commas, no quoting.

use crate::ExchangeError;
use ghtrader_core::{ContractId, TradingDay, Variety};

/// What fee and margin rows have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct RowKey {
    /// The product, such as `SHFE.cu`.
    pub product: Variety,
    /// Contracts that the row is for, such as `cu26*`; `None` = all of the product.
    pub contract_pattern: Option<String>,
    /// First trading day.
    pub valid_from: TradingDay,
    /// Last trading day; `None` = open.
    pub valid_to: Option<TradingDay>,
    /// Where the numbers come from.
    pub source: String,
    /// The source was checked.
    pub confirmed: bool,
}

impl RowKey {
    fn covers(&self, contract: &ContractId, day: TradingDay) -> bool {
        let instrument = contract.instrument();
        self.product == *contract.variety()
            && self.valid_from <= day
            && self.valid_to.is_none_or(|to| day <= to)
            && self.contract_pattern.as_deref().is_none_or(|pattern| matches(pattern, &instrument))
    }
}

/// `*` stands for any run of characters; case does not matter.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            match rest.find(before) {
                Some(at) => rest = &rest[at + before.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

/// The row for a contract on a day: a contract pattern beats the product, then the newest wins.
pub(crate) fn newest<'a, R>(
    rows: &'a [R],
    key: impl Fn(&R) -> &RowKey,
    contract: &ContractId,
    day: TradingDay,
) -> Option<&'a R> {
    let rank = |row: &&R| (key(row).contract_pattern.is_some(), key(row).valid_from);
    rows.iter().filter(|row| key(row).covers(contract, day)).max_by_key(rank)
}

const KEY_COLUMNS: [&str; 4] = ["product", "contract_pattern", "valid_from", "valid_to"];
const TAIL_COLUMNS: [&str; 2] = ["source", "confirmed"];

/// Reads all rows: key columns, `N` numbers named by `numbers`, then source and confirmed.
///
/// # Errors
/// Every bad line.
pub(crate) fn parse<const N: usize>(
    table: &'static str,
    numbers: [&str; N],
    text: &str,
) -> Result<Vec<(RowKey, [f64; N])>, Vec<ExchangeError>> {
    let error = |line: usize, reason: String| ExchangeError::TableLine { table, line, reason };
    let header = header(numbers);
    let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty() && !l.starts_with('#'));
    match lines.next() {
        Some((first, _)) if first.trim() == header => {}
        other => return Err(vec![error(other.map_or(1, |l| l.1), format!("the first line must be `{header}`"))]),
    }
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (text, line) in lines {
        match parse_row(numbers, text) {
            Ok(row) => rows.push(row),
            Err(reason) => errors.push(error(line, reason)),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

fn parse_row<const N: usize>(names: [&str; N], text: &str) -> Result<(RowKey, [f64; N]), String> {
    let cells: Vec<&str> = text.split(',').map(str::trim).collect();
    let count = KEY_COLUMNS.len() + N + TAIL_COLUMNS.len();
    if cells.len() != count {
        return Err(format!("it has {} cells, not {count}", cells.len()));
    }
    let date = |text: &str| text.parse::<TradingDay>().map_err(|e| e.to_string());
    let mut numbers = [0.0; N];
    for ((number, name), cell) in numbers.iter_mut().zip(names).zip(&cells[KEY_COLUMNS.len()..]) {
        *number = match cell.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => value,
            _ => return Err(format!("{name} = `{cell}` is no number from 0 on")),
        };
    }
    let confirmed = match cells[count - 1] {
        "true" => true,
        "false" => false,
        other => return Err(format!("confirmed = `{other}` is not true | false")),
    };
    let key = RowKey {
        product: cells[0].parse().map_err(|e: ghtrader_core::SymbolError| e.to_string())?,
        contract_pattern: (!cells[1].is_empty()).then(|| cells[1].to_owned()),
        valid_from: date(cells[2])?,
        valid_to: if cells[3].is_empty() { None } else { Some(date(cells[3])?) },
        source: cells[count - 2].to_owned(),
        confirmed,
    };
    Ok((key, numbers))
}

fn header<const N: usize>(numbers: [&str; N]) -> String {
    [&KEY_COLUMNS[..], &numbers[..], &TAIL_COLUMNS[..]].concat().join(",")
}

/// Writes rows as [`parse`] reads them: the canonical text of a table, for its digest.
pub(crate) fn write<const N: usize>(numbers: [&str; N], rows: impl Iterator<Item = (RowKey, [f64; N])>) -> String {
    let mut text = header(numbers) + "\n";
    for (key, values) in rows {
        let to = key.valid_to.map_or(String::new(), |d| d.to_string());
        let pattern = key.contract_pattern.unwrap_or_default();
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        let RowKey { product, valid_from, source, confirmed, .. } = key;
        text += &format!("{product},{pattern},{valid_from},{to},{},{source},{confirmed}\n", values.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("cu2602", "cu2602", true),
            ("cu2602", "cu26021", false),
            ("CU26*", "cu2602", true),
            ("*02", "cu2602", true),
            ("*02", "cu0201", false),
            ("c*6*2", "cu2602", true),
            ("cu27*", "cu2602", false),
            ("*", "cu2602", true),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }
}
