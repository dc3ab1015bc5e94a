//! Event loop over recorded ticks, metrics and reports.
