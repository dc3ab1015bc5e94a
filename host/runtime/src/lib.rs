//! One variety's lineup (features, model, strategy), driven the same way live and in backtest.
