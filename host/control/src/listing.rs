//! Lists in pages: `limit`, `cursor`, `{items, next_cursor, total}`.

use crate::refusal::Refusal;
use ghtrader_core::ErrorClass;
use serde::Serialize;
use serde_json::Value;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    /// The items, in the list's order.
    pub(crate) items: Vec<Value>,
    /// What `cursor` has to be for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// Items on all pages.
    pub(crate) total: usize,
}

/// The `limit` of a query, refused outside its bounds.
pub(crate) fn limit(given: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = given else { return Ok(DEFAULT_LIMIT) };
    let limit = text.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
    limit.ok_or_else(|| {
        Refusal::new(
            "limit_out_of_range",
            ErrorClass::User,
            format!("limit = {text} lies outside [1, {MAX_LIMIT}]"),
            format!("ask for 1 to {MAX_LIMIT} items and follow next_cursor"),
        )
        .value(text)
        .bound(format!("[1, {MAX_LIMIT}]"))
    })
}

/// One page of a list. `key` gives each item's place: unique, and sorted as the list is; a page starts behind the key that
/// its cursor names, so items that come or go between two pages neither double nor hide others.
pub(crate) fn page<T: Serialize>(
    list: &str,
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    given_limit: Option<&str>,
    cursor: Option<&str>,
) -> Result<Page, Refusal> {
    let limit = limit(given_limit)?;
    let after = cursor.map(|c| opened(list, c)).transpose()?;
    items.sort_by_key(&key);
    let total = items.len();
    let start = after.map_or(0, |after| items.partition_point(|item| key(item) <= after));
    let end = total.min(start + limit);
    let next_cursor = (end < total && end > start).then(|| sealed(list, &key(&items[end - 1])));
    // Items are structures of plain values, which always have a JSON form.
    let items = items[start..end].iter().map(|i| serde_json::to_value(i).unwrap_or_default()).collect();
    Ok(Page { items, next_cursor, total })
}

/// A key that sorts large numbers first.
pub(crate) fn newest_first(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}

/// Cursors are opaque, so that nobody builds one; and bound to their list.
pub(crate) fn sealed(list: &str, key: &str) -> String {
    format!("{list}\n{key}").bytes().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn opened(list: &str, cursor: &str) -> Result<String, Refusal> {
    let bytes: Option<Vec<u8>> = (cursor.is_ascii() && cursor.len().is_multiple_of(2))
        .then(|| (0..cursor.len()).step_by(2).map(|i| u8::from_str_radix(&cursor[i..i + 2], 16).ok()).collect())
        .flatten();
    let text = bytes.and_then(|b| String::from_utf8(b).ok());
    let key = text.as_deref().and_then(|t| t.split_once('\n')).filter(|(l, _)| *l == list).map(|(_, k)| k.to_owned());
    key.ok_or_else(|| {
        Refusal::new(
            "bad_cursor",
            ErrorClass::User,
            format!("the cursor `{cursor}` is none of this list"),
            "pass next_cursor of the page before, or none",
        )
        .value(cursor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(items: &[u32], limit: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let p = page("l", items.to_vec(), |n| format!("{n:05}"), Some(limit), cursor.as_deref()).unwrap();
            assert_eq!(p.total, items.len());
            all.extend(p.items);
            cursor = p.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// C-41
    #[test]
    fn pages_make_up_the_whole_list() {
        let items: Vec<u32> = (0..25).rev().collect();
        let whole: Vec<Value> = (0..25).map(Value::from).collect();
        for limit in ["1", "5", "7", "25", "1000"] {
            assert_eq!(walk(&items, limit), whole, "{limit}");
        }
        assert!(walk(&[], "3").is_empty());
    }

    /// C-41
    #[test]
    fn an_item_that_goes_hides_no_other() {
        let key = |n: &u32| format!("{n:05}");
        let first = page("l", vec![1, 2, 3, 4], key, Some("2"), None).unwrap();
        let second = page("l", vec![1, 3, 4], key, Some("2"), first.next_cursor.as_deref()).unwrap();
        assert_eq!(second.items, [3, 4]);
    }

    /// C-41
    #[test]
    fn nothing_is_clamped() {
        let ask = |limit: Option<&str>, cursor: Option<&str>| {
            page("l", vec![1], u32::to_string, limit, cursor).map_err(|r| r.into_reply().body)
        };
        for bad in ["0", "1001", "-1", "x", "", "99999999999999999999"] {
            let body = ask(Some(bad), None).unwrap_err();
            assert_eq!((&body["code"], &body["bound"]), (&"limit_out_of_range".into(), &"[1, 1000]".into()), "{bad}");
            assert_eq!(body["status"], 400);
        }
        for bad in ["x", "é", "zz", "6c", &sealed("other", "1")] {
            assert_eq!(ask(None, Some(bad)).unwrap_err()["code"], "bad_cursor", "{bad}");
        }
        assert!(newest_first(2) < newest_first(1));
    }
}
