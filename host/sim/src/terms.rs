//! What trading costs: fees and margin by contract and day.

use ghtrader_core::{ContractId, TradingDay};
use ghtrader_exchange::{ExchangeError, FeeTable, MarginTable, Offset, Terms as LedgerTerms, fee_cny};

/// Fee and margin tables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) fees: FeeTable,
    pub(crate) margins: MarginTable,
}

/// Money for one lot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PerLot {
    pub(crate) margin_cny: f64,
    pub(crate) commission_cny: f64,
}

impl Terms {
    /// The built-in tables.
    pub(crate) fn builtin() -> Self {
        Self { fees: FeeTable::builtin(), margins: MarginTable::builtin() }
    }

    /// What a lot opened at a price costs; none for a contract that the tables do not know: it is served, not traded.
    pub(crate) fn lot(
        &self,
        contract: &ContractId,
        day: TradingDay,
        multiplier: f64,
        price_cny: f64,
    ) -> Option<PerLot> {
        let terms = self.of(contract, day, multiplier).ok()?;
        let margin_cny = terms.margin_rates.0.max(terms.margin_rates.1) * multiplier * price_cny;
        let commission_cny = fee_cny(terms.fees.of(Offset::Open), price_cny, multiplier, 1);
        margin_cny.is_finite().then_some(PerLot { margin_cny, commission_cny })
    }

    /// The ledger's terms of a contract on a day.
    ///
    /// # Errors
    /// `FeeRowMissing`, `MarginRowMissing`.
    pub(crate) fn of(
        &self,
        contract: &ContractId,
        day: TradingDay,
        multiplier: f64,
    ) -> Result<LedgerTerms, ExchangeError> {
        let margin = self.margins.lookup(contract, day)?;
        Ok(LedgerTerms {
            contract: contract.clone(),
            multiplier,
            fees: self.fees.lookup(contract, day)?.rates,
            margin_rates: (margin.long_rate, margin.short_rate),
        })
    }
}
