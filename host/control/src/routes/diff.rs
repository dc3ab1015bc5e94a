//! What differs between two JSON documents.

use serde::Serialize;
use serde_json::Value;

/// One place at which two documents differ.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Such as `manifest.param.threshold.default`.
    path: String,
    /// What the first has; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    /// What the second has; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

/// All differences, by path. Members of a list are told apart by their `name` where all have one.
pub(super) fn difference(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), Some(from), Some(to), &mut found);
    found
}

fn walk(path: String, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    let members = (from.and_then(members), to.and_then(members));
    let (Some(a), Some(b)) = members else {
        found.push(Difference { path, from: from.cloned(), to: to.cloned() });
        return;
    };
    let names = a.iter().chain(&b).map(|(name, _)| name);
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    for name in names {
        let of = |list: &[(String, &Value)]| -> Option<usize> { list.iter().position(|(n, _)| n == name) };
        let (left, right) = (of(&a).map(|i| a[i].1), of(&b).map(|i| b[i].1));
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(inner, left, right, found);
    }
}

/// The named parts of an object, or of a list whose members all have names of their own.
fn members(value: &Value) -> Option<Vec<(String, &Value)>> {
    match value {
        Value::Object(map) => Some(map.iter().map(|(k, v)| (k.clone(), v)).collect()),
        Value::Array(list) if !list.is_empty() => {
            list.iter().map(|v| v.get("name")?.as_str().map(|n| (n.to_owned(), v))).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_told_apart_by_name() {
        let from = json!({"a": 1, "param": [{"name": "x", "max": 5}, {"name": "y", "max": 1}], "inputs": ["p"]});
        let to = json!({"b": 1, "param": [{"name": "y", "max": 1}, {"name": "x", "max": 6}], "inputs": ["p", "q"]});
        let found = difference(&from, &to);
        let paths: Vec<&str> = found.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "inputs", "param.x.max"]);
        assert_eq!(found[3], Difference { path: "param.x.max".into(), from: Some(json!(5)), to: Some(json!(6)) });
        assert!(difference(&from, &from).is_empty());
    }
}
