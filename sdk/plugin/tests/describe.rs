//! Parameters, descriptions and blocks of features and labels.

use ghtrader_sdk::{
    Boundary, Feature, FeatureDescription, FeatureDriver, Instrument, Label, LabelDescription, LabelDriver, Params,
    PluginError, Row, Rows,
};

fn instrument() -> Instrument {
    Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 }
}

#[test]
fn a_parameter_says_what_is_wrong() {
    let params = Params::new().with("lots", 3_i64).with("edge", 0.5).with("mode", "fast").with("on", true);
    assert_eq!(params.integer_in::<u32>("lots", 1..=5), Ok(3));
    assert_eq!(params.number("lots"), Ok(3.0), "an integer is a number");
    assert_eq!((params.text("mode"), params.flag("on")), (Ok("fast"), Ok(true)));
    let message = |error: PluginError| error.to_string();
    assert_eq!(
        message(params.integer_in::<u32>("lots", 4..=5).unwrap_err()),
        "invalid input: parameter `lots` = 3 is outside 4..=5"
    );
    assert_eq!(
        message(params.number_in("edge", 0.6..).unwrap_err()),
        "invalid input: parameter `edge` = 0.5 is outside 0.6.."
    );
    assert_eq!(
        message(params.integer("mode").unwrap_err()),
        "invalid input: parameter `mode` is a text, not an integer"
    );
    assert!(params.text("none").unwrap_err().message().starts_with("parameter `none` is missing"));
    assert!(Params::new().with("x", f64::NAN).number("x").is_err());
    assert!(Params::new().with("x", 300_i64).integer_in::<u8>("x", 0..1000).is_err(), "too large for the type");
}

/// Sum of the rows since the last roll.
struct Total(f64);

impl Feature for Total {
    fn init(params: &Params, _: &Instrument) -> Result<(Self, FeatureDescription), PluginError> {
        let outputs = params.text("outputs")?.split_whitespace().map(|name| (name, "1"));
        Ok((Self(0.0), FeatureDescription::new(["last_price", "volume"], outputs, 0)))
    }

    fn boundary(&mut self, kind: Boundary) {
        if kind == Boundary::Roll {
            self.0 = 0.0;
        }
    }

    fn row(&mut self, row: Row<'_>, out: &mut [f64]) {
        let [price] = row.numbers();
        self.0 += price;
        out[0] = self.0;
    }
}

fn words(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().copied().map(f64::to_bits).collect()
}

#[test]
fn a_feature_fills_rows_and_leaves_the_rest_nan() {
    let params = Params::new().with("outputs", "total unused");
    let mut driver = FeatureDriver::<Total>::init(&params, &instrument()).unwrap();
    let mut out = vec![9.0];
    driver.compute(&words(&[1.0, 0.0, 2.0, 0.0]), &mut out).unwrap();
    driver.boundary(Boundary::Roll);
    driver.compute(&words(&[5.0, 0.0]), &mut out).unwrap();
    assert_eq!(format!("{out:?}"), "[9.0, 1.0, NaN, 3.0, NaN, 5.0, NaN]", "appended");
    driver.compute(&[], &mut out).unwrap();
    assert!(driver.compute(&[1], &mut out).is_err());
    assert_eq!(out.len(), 7);
}

#[test]
fn a_description_without_outputs_or_with_one_twice_is_refused() {
    for outputs in ["", "a a"] {
        assert!(FeatureDriver::<Total>::init(&Params::new().with("outputs", outputs), &instrument()).is_err());
    }
}

/// The value two rows on.
struct Later;

impl Label for Later {
    fn init(_: &Params, _: &Instrument) -> Result<(Self, LabelDescription), PluginError> {
        Ok((Self, LabelDescription::new(["last_price"], [("later", "CNY")], 2)))
    }

    fn row(&self, rows: Rows<'_>, at: usize, out: &mut [f64]) {
        if let Some(row) = rows.get(at + 2) {
            out[0] = row.number(0);
        }
    }
}

#[test]
fn a_label_reads_ahead_and_ends_with_its_reach() {
    let mut driver = LabelDriver::<Later>::init(&Params::new(), &instrument()).unwrap();
    let rows = words(&[1.0, 2.0, 3.0, 4.0]);
    let mut out = Vec::new();
    driver.compute(&rows, 2, &mut out).unwrap();
    driver.compute(&rows[2..], 2, &mut out).unwrap();
    assert_eq!(format!("{out:?}"), "[3.0, 4.0, NaN, NaN]");
    let error = driver.compute(&rows, 5, &mut out).unwrap_err();
    assert_eq!(error.message(), "5 labels asked of 4 rows; send the rows");
}

#[test]
#[should_panic(expected = "3 inputs read, 2 declared")]
fn reading_an_undeclared_input_panics() {
    let _: [f64; 3] = Row::new(&[0, 0]).numbers();
}
