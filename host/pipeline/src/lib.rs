//! Main schedule, main_l5, validation, data quality, building features and labels through plugins.
