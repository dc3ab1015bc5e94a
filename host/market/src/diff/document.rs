//! The client's half of the document that a DIFF line keeps equal on both sides.

use super::merge::merge;
use super::value::whole;
use serde_json::{Map, Value};

/// What the server has told so far. A transaction is applied whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Document {
    root: Value,
    transactions: u64,
}

impl Document {
    /// Applies the patches of one transaction in order. Nobody can look at the document between two of them.
    pub(crate) fn apply(&mut self, patches: Vec<Value>) {
        for patch in patches {
            merge(&mut self.root, patch);
        }
        self.transactions += 1;
    }

    /// Transactions applied.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// The member at a path, `None` if any part of it is missing.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |at, name| at.get(name))
    }

    /// The object at a path.
    pub fn object(&self, path: &[&str]) -> Option<&Map<String, Value>> {
        self.get(path)?.as_object()
    }

    /// Rows of a series by their ids, ascending, from `from` to `to`, both included.
    pub fn rows(&self, series: &[&str], from: i64, to: i64) -> Vec<(i64, &Value)> {
        let mut path = series.to_vec();
        path.push("data");
        let Some(data) = self.object(&path) else { return Vec::new() };
        let numbered = data.iter().filter_map(|(id, row)| Some((id.parse::<i64>().ok()?, row)));
        let mut rows: Vec<(i64, &Value)> = numbered.filter(|(id, _)| (from..=to).contains(id)).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        rows
    }

    /// The highest id of a series; `None` if the server has not told.
    pub fn last_id(&self, series: &[&str]) -> Option<i64> {
        let mut path = series.to_vec();
        path.push("last_id");
        whole(self.get(&path))
    }

    /// Forgets a member with all in it.
    pub(crate) fn forget(&mut self, member: &str) {
        if let Some(root) = self.root.as_object_mut() {
            root.remove(member);
        }
    }

    /// Forgets the rows of a series below `below`, so that a line that lives for days does not grow.
    pub(crate) fn forget_rows(&mut self, series: &[&str], below: i64) {
        let at = series.iter().try_fold(&mut self.root, |at, name| at.get_mut(name));
        if let Some(data) = at.and_then(|s| s.get_mut("data")).and_then(Value::as_object_mut) {
            data.retain(|id, _| id.parse::<i64>().is_ok_and(|id| id >= below));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_come_by_number_and_not_by_text() {
        let mut document = Document::default();
        document
            .apply(vec![json!({"ticks": {"S": {"last_id": 10.0, "data": {"9": {}, "10": {}, "-1": {}, "_rows": 3}}}})]);
        let ids = |from, to| document.rows(&["ticks", "S"], from, to).iter().map(|r| r.0).collect::<Vec<_>>();
        assert_eq!(ids(i64::MIN, i64::MAX), [-1, 9, 10]);
        assert_eq!(ids(10, 10), [10]);
        assert_eq!(document.last_id(&["ticks", "S"]), Some(10));
        let mut forgetful = document.clone();
        forgetful.forget_rows(&["ticks", "S"], 10);
        assert_eq!(forgetful.rows(&["ticks", "S"], 0, 100).len(), 1);
        forgetful.forget_rows(&["ticks", "other"], 10);
    }
}
