use crate::{check_file, lots, number, text};
use ghtrader_core::{Calendar, Phase, Variety};
use ghtrader_exchange::queue::{
    CancelRace, LevelInterval, RestInterval, advance_queue, arrival_share, cancel_race, cross_or_touch, crossed_fill,
    depleted_level, rest, share_after, traded_by_model,
};
use ghtrader_exchange::split::{split_by_turnover, visible_level, volume_interval_at_price};
use ghtrader_exchange::{
    AuctionRows, BeyondBook, Consumed, FillModel, PrepareSpec, Side, TakerWalk, day_order_expiry_ns, taker_book_choice,
    taker_walk,
};
use serde_json::{Value, json};

/// B-03, B-05, B-06, B-07, B-09, B-13
#[test]
fn every_case() {
    check_file("fill_models.json", |op, input| Ok(compute(op, input)));
}

fn compute(op: &str, input: &Value) -> Value {
    match op {
        "split_by_turnover" => split(input),
        "volume_interval_at_price" => interval(input),
        "visible_level" => {
            let level = visible_level(
                number(&input["displayed_before_lots"]),
                number(&input["displayed_after_lots"]),
                number(&input["traded_lots"]),
            );
            json!({
                "decrease_lots": level.decrease_lots,
                "cancels_minus_adds_lots": level.cancels_minus_adds_lots,
                "min_cancels_lots": level.min_cancels_lots,
            })
        }
        "advance_queue" => advance(input),
        "crossed_fill" => crossed(input),
        "depleted_level" => {
            let step = depleted_level(
                number(&input["queue_ahead_lots"]),
                lots(&input["own_lots"]),
                number(&input["traded_at_price_lots"]),
            );
            json!({"filled_lots": step.filled_lots, "queue_ahead_lots": step.queue_ahead_lots})
        }
        "arrival_share" => arrival(input),
        "cancel_race" => race(input),
        "own_size" => own_size(input),
        "taker_walk" => walk(input),
        "taker_book_choice" => choice(input),
        "day_order" => day_order(input),
        "first_row_of_day" => first_row(input),
        "resting_sequence" => resting(input),
        "cross_or_touch" => unqueued(input),
        other => panic!("unknown op {other}"),
    }
}

/// Prices of the file lie on a grid of 0.02 (gold) or 10 CNY (copper); a coarser or finer grid gives the same answers.
fn tick_of(price: &Value) -> f64 {
    if number(price).fract() == 0.0 { 10.0 } else { 0.02 }
}

fn ticks(price: &Value, tick: f64) -> i32 {
    let ticks = number(price) / tick;
    assert!((ticks - ticks.round()).abs() < 1e-6, "{price} is off the grid");
    ticks.round() as i32
}

fn split(input: &Value) -> Value {
    let pair = [&input["low_price_cny"], &input["high_price_cny"]];
    let tick = pair.map(tick_of).into_iter().fold(f64::INFINITY, f64::min);
    let lot_tick_cny = number(&input["multiplier"]) * tick;
    let split = split_by_turnover(
        lots(&input["volume_lots"]) as i32,
        number(&input["turnover_cny"]) / lot_tick_cny,
        ticks(pair[0], tick),
        ticks(pair[1], tick),
        number(&input["rounding_cny"]) / lot_tick_cny,
    );
    json!({"low_lots": split.low_lots, "high_lots": split.high_lots, "two_prices": split.two_prices})
}

fn prices(list: &Value, tick: f64) -> Vec<i32> {
    list.as_array().unwrap().iter().map(|p| ticks(p, tick)).collect()
}

fn interval(input: &Value) -> Value {
    let tick = 10.0;
    let grid = prices(&input["prices_cny"], tick);
    assert!(grid.windows(2).all(|w| w[1] == w[0] + 1), "prices must be neighbours");
    let turnover = number(&input["turnover_cny"]) / (number(&input["multiplier"]) * tick);
    assert_eq!(turnover.fract(), 0.0);
    let range = volume_interval_at_price(
        grid[0],
        grid[grid.len() - 1],
        i64::from(lots(&input["volume_lots"])),
        turnover as i64,
        ticks(&input["at_price_cny"], tick),
        &prices(&input["must_trade_cny"], tick),
    );
    range.map_or(Value::Null, |r| json!({"min_lots": r.min_lots, "max_lots": r.max_lots}))
}

fn level(input: &Value, model: FillModel, before: &str, after: &str) -> LevelInterval {
    LevelInterval {
        displayed_before_lots: input[before].as_f64(),
        displayed_after_lots: input[after].as_f64(),
        traded_lots: traded_by_model(model, number(&input["traded_min_lots"]), number(&input["traded_max_lots"])),
    }
}

fn advance(input: &Value) -> Value {
    let model = text(&input["model"]);
    let step = advance_queue(
        model,
        number(&input["queue_ahead_lots"]),
        lots(&input["own_lots"]),
        level(input, model, "displayed_before_lots", "displayed_after_lots"),
        number(&input["central_power"]),
    );
    json!({"queue_ahead_lots": step.queue_ahead_lots, "filled_lots": step.filled_lots, "unseen": step.unseen})
}

fn crossed(input: &Value) -> Value {
    let price = number(&input["price_cny"]);
    let asks = input["asks"].as_array().unwrap();
    let displayed: f64 = asks.iter().filter(|a| number(&a[0]) <= price).map(|a| number(&a[1])).sum();
    let filled = crossed_fill(
        text(&input["model"]),
        lots(&input["own_lots"]),
        number(&input["traded_at_or_below_lots"]),
        displayed,
    );
    json!({"filled_lots": filled, "price_cny": price})
}

fn share(input: &Value, send: &str) -> f64 {
    let ns = |key: &str| input[key].as_i64().unwrap();
    share_after(ns("interval_start_ns"), ns("interval_end_ns"), ns(send) + ns("latency_ns"))
}

fn arrival(input: &Value) -> Value {
    let see = |model| arrival_share(model, number(&input["traded_lots"]), share(input, "send_ns"));
    json!({
        "pessimistic_lots": see(FillModel::Pessimistic),
        "central_lots": see(FillModel::Central),
        "optimistic_lots": see(FillModel::Optimistic),
    })
}

fn race(input: &Value) -> Value {
    let price = number(&input["price_cny"]);
    let crossed = match text(&input["side"]) {
        Side::Buy => number(&input["best_ask_after_cny"]) <= price,
        Side::Sell => number(&input["best_bid_after_cny"]) >= price,
    };
    match cancel_race(text(&input["model"]), share(input, "cancel_send_ns"), crossed) {
        CancelRace::Cancelled => json!("cancelled"),
        CancelRace::Filled => json!("filled"),
        CancelRace::Share(share) => json!(share),
    }
}

fn own_size(input: &Value) -> Value {
    let mut consumed = Consumed::default();
    let mut shown = vec![0];
    let mut got = Vec::new();
    for step in input["steps"].as_array().unwrap() {
        match step.get("take_lots") {
            Some(wanted) => {
                let row = shown.len() - 1;
                let there = shown[row]
                    - consumed.at(Side::Sell, 1, row, |rows| shown[rows].iter().copied().min()).min(shown[row]);
                let walk = taker_walk(Side::Buy, Some(1), lots(wanted), &[(1, there)], BeyondBook::Reject);
                consumed.take(Side::Sell, 1, row, walk.filled_lots());
                got.push(walk.filled_lots());
            }
            None => shown.push(lots(&step["snapshot_displayed_lots"])),
        }
    }
    json!(got)
}

fn levels(list: &Value) -> Vec<(i32, u32)> {
    list.as_array().unwrap().iter().map(|l| (ticks(&l[0], 10.0), lots(&l[1]))).collect()
}

fn fills(walk: &TakerWalk) -> Value {
    walk.fills().iter().map(|&(price, lots)| json!([price * 10, lots])).collect()
}

fn limit(input: &Value) -> Option<i32> {
    let price = &input["limit_price_cny"];
    (!price.is_null()).then(|| ticks(price, 10.0))
}

fn walk(input: &Value) -> Value {
    assert_eq!(number(&input["price_tick_cny"]), 10.0);
    let beyond_book = match input["beyond_book"].as_str().unwrap() {
        "reject" => BeyondBook::Reject,
        "penalty" => BeyondBook::Penalty { ticks: lots(&input["beyond_book_penalty_ticks"]) },
        other => panic!("unknown beyond_book {other}"),
    };
    let opposite = levels(&input["opposite_levels"]);
    let walk = taker_walk(text(&input["side"]), limit(input), lots(&input["lots"]), &opposite, beyond_book);
    json!({"fills": fills(&walk), "resting_lots": walk.resting_lots, "rejected_lots": walk.rejected_lots})
}

fn choice(input: &Value) -> Value {
    let (k, k_plus_1) = (levels(&input["book_k"]), levels(&input["book_k_plus_1"]));
    let choice = taker_book_choice(text(&input["side"]), limit(input), lots(&input["lots"]), &k, &k_plus_1);
    json!({"k": fills(&choice.k), "k_plus_1": fills(&choice.k_plus_1)})
}

fn day_order(input: &Value) -> Value {
    let exchange: String = text(&input["exchange"]);
    let product: String = text(&input["product"]);
    let variety: Variety = format!("{exchange}.{product}").parse().unwrap();
    let expiry = day_order_expiry_ns(Calendar::builtin(), &variety, input["send_ns"].as_i64().unwrap()).unwrap();
    json!(if input["now_ns"].as_i64().unwrap() < expiry { "resting" } else { "expired" })
}

fn first_row(input: &Value) -> Value {
    let second = 1_000_000_000;
    let spec = PrepareSpec {
        price_tick: 5.0,
        multiplier: 5.0,
        double_sided: false,
        windows: vec![(100 * second, 1000 * second)],
        auction_starts_ns: vec![100 * second],
    };
    let mut auctions = AuctionRows::new(&spec);
    let own = lots(&input["own_lots"]);
    let (mut queue, mut filled, mut before) = (number(&input["queue_ahead_lots"]), 0, 0);
    let (mut queues, mut fills) = (Vec::new(), Vec::new());
    for (at, row) in input["rows"].as_array().unwrap().iter().enumerate() {
        let volume = lots(&row["cumulative_volume_lots"]);
        let (phase, ts_ns) = match row["phase"].as_str().unwrap() {
            "auction" => (Phase::Auction, 41 * second),
            "continuous" => (Phase::Continuous, (100 + at as i64) * second),
            other => panic!("unknown phase {other}"),
        };
        let auction = auctions.carries(ts_ns, phase as u8, (volume - before) as i32);
        before = volume;
        if !auction {
            // The display says nothing here beyond the trades.
            let traded_lots = number(&row["traded_at_price_lots"]);
            let interval = LevelInterval {
                displayed_before_lots: Some(queue + traded_lots),
                displayed_after_lots: Some(queue + traded_lots),
                traded_lots,
            };
            let step = advance_queue(FillModel::Pessimistic, queue, own - filled, interval, 1.0);
            queue = step.queue_ahead_lots;
            filled += step.filled_lots;
        }
        queues.push(queue);
        fills.push(filled);
    }
    json!({"queue_ahead_lots": queues, "filled_lots": fills})
}

fn resting(input: &Value) -> Value {
    let model = text(&input["model"]);
    let price = number(&input["price_cny"]);
    let own = lots(&input["own_lots"]);
    let power = number(&input["central_power"]);
    let mut displayed_before = input["displayed_at_arrival_lots"].as_f64();
    let (mut queue, mut filled, mut unseen) = (displayed_before.unwrap(), 0, false);
    let mut states = Vec::new();
    for step in input["steps"].as_array().unwrap() {
        let (bid, ask) = (number(&step["best_bid_cny"]), number(&step["best_ask_cny"]));
        let displayed_after = step["displayed_lots"].as_f64();
        if filled < own {
            let crossed = ask <= price;
            let interval = RestInterval {
                crossed,
                depleted: bid < price && !crossed,
                level: LevelInterval {
                    displayed_before_lots: displayed_before,
                    ..level(step, model, "", "displayed_lots")
                },
                traded_through_lots: number(&step["traded_at_or_below_lots"]),
                opposite_displayed_lots: number(&step["asks_at_or_below_lots"]),
            };
            let after = rest(model, queue, own - filled, &interval, power);
            (queue, unseen) = (after.queue_ahead_lots, after.unseen);
            filled += after.filled_lots;
        }
        displayed_before = displayed_after;
        states.push(json!({"queue_ahead_lots": queue, "filled_total_lots": filled, "unseen": unseen}));
    }
    json!(states)
}

fn unqueued(input: &Value) -> Value {
    let price = number(&input["price_cny"]);
    let opposite_best = number(&input["opposite_best_after_cny"]);
    let crossed = match text(&input["side"]) {
        Side::Buy => opposite_best <= price,
        Side::Sell => opposite_best >= price,
    };
    let at_own_best = number(&input["own_best_before_cny"]) == price;
    let opposite_lots = lots(&input["opposite_volume_lots"]) as i32;
    if cross_or_touch(text(&input["model"]), crossed, at_own_best, opposite_lots) {
        json!({"filled_lots": input["own_lots"], "price_cny": price})
    } else {
        json!({"filled_lots": 0, "price_cny": null})
    }
}
