//! What a member of the document says as a number. `"-"`, `""`, `null` and absence all mean that there is none; servers
//! write whole numbers as floats and the other way round.

use serde_json::Value;

/// A number; NaN where there is none.
pub fn number(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// Lots of a book level; 0 where there are none.
pub fn lots(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(0.0)
}

/// A whole number, also one written as `1.0`; `None` where there is none.
pub fn whole(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        // Above 2^63 the cast saturates, which is another number.
        (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
    })
}

/// Whether two members say the same: 1 and 1.0 do, and so do `null` and absence.
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null)) {
        (a, b) if a == b => true,
        (a @ Value::Number(_), b @ Value::Number(_)) => match (whole(Some(a)), whole(Some(b))) {
            (Some(a), Some(b)) => a == b,
            _ => number(Some(a)) == number(Some(b)),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// DC-06
    #[test]
    fn missing_has_four_forms_and_one_has_two() {
        for missing in [json!("-"), json!(""), json!(null), json!("NaN"), json!("12"), json!(true), json!({})] {
            assert!(number(Some(&missing)).is_nan(), "{missing}");
            assert_eq!(lots(Some(&missing)), 0.0, "{missing}");
            assert_eq!(whole(Some(&missing)), None, "{missing}");
        }
        assert!(number(None).is_nan() && lots(None) == 0.0 && whole(None).is_none());
        for one in [json!(1), json!(1.0), json!(1u64)] {
            assert_eq!((number(Some(&one)), lots(Some(&one)), whole(Some(&one))), (1.0, 1.0, Some(1)));
            assert!(same(Some(&one), Some(&json!(1))));
        }
        assert_eq!(whole(Some(&json!(1.5))), None);
        assert_eq!(whole(Some(&json!(1e300))), None);
        assert!(
            same(None, Some(&json!(null))) && !same(None, Some(&json!(0))) && !same(Some(&json!("1")), Some(&json!(1)))
        );
        // A stamp of nanoseconds keeps every digit.
        assert_eq!(whole(Some(&json!(1_752_800_400_500_000_001_i64))), Some(1_752_800_400_500_000_001));
    }
}
