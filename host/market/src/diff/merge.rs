//! JSON Merge Patch.

use serde_json::{Map, Value};

/// Applies a merge patch to a document (RFC 7396): objects merge member by member, `null` deletes a member, anything
/// else replaces what was there, lists too.
///
/// Source: P. Hoffman, J. Snell, "JSON Merge Patch", RFC 7396 (2014), section 2.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => {
                members.remove(&name);
            }
            Value::Object(_) => merge(members.entry(name).or_insert(Value::Null), value),
            other => {
                members.insert(name, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every row of RFC 7396, appendix A: original, patch, result.
    const APPENDIX_A: &[(&str, &str, &str)] = &[
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ];

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    /// DC-04
    #[test]
    fn appendix_a_passes() {
        for (original, patch, result) in APPENDIX_A {
            let mut target = json(original);
            merge(&mut target, json(patch));
            assert_eq!(target, json(result), "{original} + {patch}");
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// The definition as the RFC writes it: slow, and by copying.
    fn by_definition(target: Option<&Value>, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut result = target.and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in patch {
            if value.is_null() {
                result.remove(name);
            } else {
                let merged = by_definition(result.get(name), value);
                result.insert(name.clone(), merged);
            }
        }
        Value::Object(result)
    }

    proptest! {
        /// DC-04
        #[test]
        fn any_patch_merges_by_the_definition(original in tree(), patch in tree()) {
            let mut target = original.clone();
            merge(&mut target, patch.clone());
            prop_assert_eq!(&target, &by_definition(Some(&original), &patch));
            // Applying a patch twice changes nothing more.
            let once = target.clone();
            merge(&mut target, patch);
            prop_assert_eq!(target, once);
        }
    }
}
