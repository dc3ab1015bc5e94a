//! The rows that a new crate is tried on.

use crate::context::io_problem;
use ghtrader_core::{BorderKind, Calendar, ContractId, ErrorClass, Problem, TickTable, day_borders};
use ghtrader_market::synth::{SynthMarket, SynthSpec, write_tqsdk_csv};

/// Rows on each side of a break between two sessions.
pub(crate) const SIDE_ROWS: usize = 300;

/// Rows of a synthetic copper market around the break between two sessions.
fn synthetic() -> Result<(ContractId, TickTable), Problem> {
    let calendar = Calendar::builtin();
    let variety = "cu".parse().map_err(|e: ghtrader_core::SymbolError| {
        Problem::new("internal", ErrorClass::Internal, e.to_string(), "report this")
    })?;
    let market = SynthMarket::new(SynthSpec::new(variety, 1, 1, 0.5), calendar)?;
    let main = market.main_contracts().next().map(|(_, contract)| contract.clone());
    let index = (0..market.symbol_days()).find(|i| Some(market.key(*i).0) == main.as_ref()).unwrap_or(0);
    let day = market.generate(index);
    let windows = calendar.session_windows(day.contract.variety(), day.trading_day);
    let view = day.ticks.view();
    let borders = day_borders(view.ts_ns, &windows);
    let at = borders.iter().find(|b| b.kind == BorderKind::Session).map_or(view.rows() / 2, |b| b.row);
    let mut ticks = TickTable::with_capacity(2 * SIDE_ROWS);
    ticks.extend_from(&view, at.saturating_sub(SIDE_ROWS)..view.rows().min(at + SIDE_ROWS));
    Ok((day.contract, ticks))
}

/// The rows as a file, in the TqSdk form.
pub(crate) fn synthetic_csv() -> Result<Vec<u8>, Problem> {
    let (contract, ticks) = synthetic()?;
    let mut text = Vec::new();
    write_tqsdk_csv(&mut text, &contract, &ticks.view())
        .map_err(|e| io_problem("unwritable", "cannot write the fixture", &e))?;
    Ok(text)
}
