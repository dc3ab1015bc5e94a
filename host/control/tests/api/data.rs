//! What is stored, over HTTP: the rooms' own answers, and nothing is kept by asking.

use crate::world::World;
use ghtrader_core::{Calendar, ContractTable};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_pipeline::{Inspection, MainL5Options, ScheduleRule, ScheduleSource, build_main_l5, build_main_schedule};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, Store as _};
use serde_json::json;

/// A market of five days with its main_l5 in a world's store.
pub(crate) fn fill(world: &World) -> EmbeddedStore {
    let store = EmbeddedStore::open(&world.config.data_dir).unwrap();
    let mut spec = SynthSpec::new("cu".parse().unwrap(), 6, 5, 0.5);
    spec.rows_per_day = 1_000;
    for day in SynthMarket::new(spec, Calendar::builtin()).unwrap().iter() {
        let meta = DayMeta {
            source: "synthetic".to_owned(),
            counting: Counting::Single,
            build: ghtrader_core::Digest::of(b"x"),
            underlying: None,
        };
        let symbol = day.contract.to_string();
        store.put_day(Dataset::Ticks, &symbol, day.trading_day, &day.ticks.view(), &meta).unwrap();
    }
    let (variety, table) = ("cu".parse().unwrap(), ContractTable::builtin());
    let rule = ScheduleSource::OpenInterest(ScheduleRule::default());
    build_main_schedule(&store, &variety, &rule, None, Calendar::builtin(), table).unwrap();
    let schedule = store.load_schedule(&variety).unwrap().unwrap();
    build_main_l5(&store, &schedule, MainL5Options::default(), &|| {}).unwrap();
    store.release_writer().unwrap();
    store
}

/// D-35
#[tokio::test(flavor = "multi_thread")]
async fn quality_and_coverage_are_the_rooms_own_answers() {
    let world = World::new();
    let empty = world.get("/data/coverage?variety=cu").await;
    assert_eq!((empty.status.as_u16(), &empty.body["symbols"]), (200, &json!([])), "{}", empty.body);
    for path in ["readiness", "anomalies"] {
        let judged = world.get(&format!("/data/quality/{path}?variety=cu")).await.body;
        assert_eq!((&judged["state"]["ok"], &judged["state"]["reason_code"]), (&json!(false), &json!("days_missing")));
    }
    let gaps = world.get("/data/quality/gaps?variety=cu").await;
    assert_eq!((gaps.status.as_u16(), gaps.code()), (409, "days_missing"));
    let store = fill(&world);
    let records = store.records().unwrap();
    let (settings, calendar) = (&world.config.settings, &world.config.calendar);
    let look = Inspection { store: &store, settings, calendar, table: ContractTable::builtin() };
    let variety = "cu".parse().unwrap();
    let covered = json!({ "variety": "SHFE.cu", "symbols": look.coverage(&variety).unwrap() });
    let answer = world.get("/data/coverage?variety=cu").await.body;
    assert_eq!(answer["symbols"], covered["symbols"]);
    assert!(answer["symbols"].as_array().unwrap().len() > 2);
    let main = world.get("/data/coverage?variety=cu&dataset=main_l5").await.body;
    assert_eq!(main["symbols"].as_array().unwrap().len(), 1);
    let one = world.get("/data/coverage?variety=cu&symbol=SHFE.cu2508").await.body;
    assert_eq!(one["symbols"][0]["symbol"], "SHFE.cu2508");
    assert_eq!(world.get("/data/quality/readiness?variety=cu").await.body, json!(&look.readiness(&variety).unwrap()));
    assert_eq!(world.get("/data/quality/anomalies?variety=cu").await.body, json!(&look.anomalies(&variety).unwrap()));
    let profile = world.get("/data/quality/profile?variety=cu").await.body;
    assert_eq!(profile, json!(&look.profile(&variety).unwrap()));
    assert_eq!(profile["limits"]["l5_validate.gap_block_gt30"]["origin"], "built-in");
    let summary = world.get("/data/quality/summary?variety=cu").await.body;
    assert_eq!(summary["days"], json!(&look.days("KQ.m@SHFE.cu").unwrap().1));
    assert_eq!(world.get("/data/quality/summary?symbol=SHFE.cu2508").await.body["symbol"], "SHFE.cu2508");
    let gaps = world.get("/data/quality/gaps?variety=cu&limit=3").await.body;
    assert_eq!(
        (gaps["gaps"].as_array().unwrap().len(), &gaps["total"]),
        (3, &json!(look.gaps(&variety).unwrap().len()))
    );

    // A writer is at work: who looks stands in nobody's way and is not kept out.
    let held = EmbeddedStore::open(&world.config.data_dir).unwrap();
    held.put_record("x", "y", &json!(1)).unwrap();
    assert_eq!(world.get("/data/quality/readiness?variety=cu").await.status, 200);
    let now: Vec<_> = store.records().unwrap().into_iter().filter(|(collection, _)| collection != "x").collect();
    assert_eq!(now, records, "asking keeps nothing");
}

/// D-35, C-12
#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense_are_refused() {
    let world = World::new();
    for (path, status, code) in [
        ("/data/coverage", 400, "bad_query"),
        ("/data/coverage?variety=", 400, "bad_symbol"),
        ("/data/coverage?variety=cu&day=1", 400, "bad_query"),
        ("/data/quality/summary", 400, "bad_query"),
        ("/data/quality/summary?symbol=cu25", 400, "bad_symbol"),
        ("/data/quality/gaps?variety=cu&limit=0", 400, "limit_out_of_range"),
        ("/data/coverage?variety=cu&dataset=x", 400, "bad_query"),
        ("/data/coverage?variety=cu&symbol=../../x", 400, "bad_symbol"),
        ("/data/coverage?variety=cu&symbol=SHFE.au2512", 400, "bad_query"),
        ("/data/coverage?variety=cu%0A", 400, "bad_symbol"),
        ("/data/quality/readiness?variety=%20cu", 400, "bad_symbol"),
        ("/data/quality/summary?symbol=SHFE.cu2508%0A", 400, "bad_symbol"),
        ("/data/quality/summary?symbol=SHFE.cu2508&variety=cu", 400, "bad_query"),
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path}");
    }
    let both = world.get("/data/quality/summary?symbol=SHFE.cu2508&variety=cu").await;
    assert!(both.body["what"].as_str().unwrap().contains("not both"), "{}", both.body);
    let bare = world.ask_bare("GET /data/quality/readiness?variety=cu", &[], axum::body::Body::empty()).await;
    assert_eq!(bare.code(), "token_missing");
    std::fs::create_dir_all(world.config.data_dir.join("schedule")).unwrap();
    std::fs::write(world.config.data_dir.join("schedule/SHFE.cu.json"), "{}").unwrap();
    let broken = world.get("/data/quality/readiness?variety=cu").await;
    assert_eq!((broken.status.as_u16(), broken.code()), (409, "manifest_corrupt"));
}
