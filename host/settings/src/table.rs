//! Every setting: its key, what it holds, its default and what it does. The one list that the commented file, the
//! environment's names and the checks are made from.

use crate::{Key, Kind};
use std::sync::LazyLock;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Path, kind and bounds.
    pub key: Key,
    /// Default as TOML; empty = unset.
    pub default: &'static str,
    /// What it does, with its unit.
    pub about: &'static str,
}

const fn setting(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { key: Key::optional(path, kind), default, about }
}

const fn integer(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max }
}

const fn number(min: f64, max: f64) -> Kind {
    Kind::Number { min, max }
}

/// Products that may have settings of their own.
pub const VARIETIES: [&str; 3] = ["cu", "au", "ag"];
/// Sections whose keys a product may have for itself, as `variety.cu.l5_validate.gap_threshold_s`.
pub const VARIETY_SECTIONS: [&str; 3] = ["schedule", "main_l5", "l5_validate"];

/// All settings, section by section, those of single products last; these have no default.
pub fn settings() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> = LazyLock::new(|| {
        let of_variety = |setting: &Setting| {
            setting.key.path.split_once('.').is_some_and(|(section, _)| VARIETY_SECTIONS.contains(&section))
        };
        let own = VARIETIES.iter().flat_map(|product| {
            SETTINGS.iter().filter(|setting| of_variety(setting)).map(move |setting| {
                // Made once in the life of the process.
                let path = format!("variety.{product}.{}", setting.key.path).leak();
                Setting { key: Key { path, ..setting.key }, default: "", about: setting.about }
            })
        });
        SETTINGS.iter().copied().chain(own).collect()
    });
    &ALL
}

/// The settings that hold for every product.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("data_dir", Kind::Text, "\"data\"", "where the store lives, relative to the root"),
    setting("runs_dir", Kind::Text, "\"runs\"", "where results, reports and quarantined rows go"),
    setting("store.min_free_gib", integer(0, 100_000), "0", "free disk space in GiB below which nothing is written"),
    setting(
        "store.hash_on_read",
        Kind::Word(&["never", "sample", "always"]),
        "\"sample\"",
        "how much of a mapped cache is hashed when it is opened",
    ),
    setting(
        "store.backend",
        Kind::Word(&["embedded", "questdb"]),
        "\"embedded\"",
        "where symbol-days lie: files under data_dir, or a QuestDB server",
    ),
    setting("store.questdb_url", Kind::Text, "\"http://127.0.0.1:9000\"", "address of the server, http://HOST:PORT"),
    setting(
        "store.questdb_user",
        Kind::Text,
        "\"\"",
        "user of the server's HTTP; the password is GHTRADER_QUESTDB_PASSWORD in the environment",
    ),
    setting("store.questdb_prefix", Kind::Text, "\"ghtrader\"", "how the names of this store's tables begin"),
    setting(
        "store.questdb_wait_s",
        integer(1, 3_600),
        "60",
        "silence of the server, or of a table that should move, after which a command gives up, seconds",
    ),
    setting(
        "store.questdb_batch_rows",
        integer(100, 1_000_000),
        "200000",
        "rows sent in one request, which the server commits as one",
    ),
    setting(
        "store.questdb_requests",
        integer(1, 16),
        "2",
        "requests with rows that are under way at a time; the server works on each with one thread",
    ),
    setting(
        "calendar.holidays_file",
        Kind::Text,
        "",
        "JSON list of closed days added to the built-in ones, for years after 2026",
    ),
    setting("diff.auth_url", Kind::Text, "\"https://auth.shinnytech.com\"", "identity service of the DIFF source"),
    setting("diff.md_url", Kind::Text, "", "market-data line, ws:// or wss://; if unset, the name service says"),
    setting("diff.td_url", Kind::Text, "", "trading line, ws:// or wss://, of accounts that name none of their own"),
    setting(
        "diff.names_url",
        Kind::Text,
        "\"https://api.shinnytech.com/ns?stock=true&backtest=false\"",
        "name service that gives the market-data line's address",
    ),
    setting(
        "diff.credentials_file",
        Kind::Text,
        "",
        "TOML file with user, password, client_id, client_secret, for its owner alone; GHTRADER_DIFF_USER and so on go first",
    ),
    setting(
        "diff.contracts_url",
        Kind::Text,
        "\"https://files.shinnytech.com/continuous_table.json\"",
        "the vendor's table of main contracts, for schedule.source = vendor",
    ),
    setting("diff.deflate", Kind::Flag, "true", "offers compression to the lines"),
    setting(
        "account.credentials_file",
        Kind::Text,
        "",
        "TOML file with a table [PROFILE] of broker, user, password, url for each account, for its owner alone; TQ_ACCOUNT_ID and so on go first",
    ),
    setting(
        "import.quarantine_max_ratio",
        number(0.0, 1.0),
        "0.001",
        "share of rejected rows above which a day of an imported file is refused",
    ),
    setting("download.retries", integer(0, 20), "3", "tries more behind a failure of the source"),
    setting("download.retry_first_s", number(0.0, 3_600.0), "10", "wait before the first of them, seconds; doubles"),
    setting("download.retry_max_s", number(0.0, 86_400.0), "300", "longest wait between two tries, seconds"),
    setting("download.page_timeout_s", number(0.1, 600.0), "60", "time a page of rows may take, seconds"),
    setting("download.page_pause_ms", integer(0, 60_000), "50", "pause between two pages, milliseconds"),
    setting(
        "download.maintenance_hours",
        Kind::Text,
        "\"19:00-19:30\"",
        "hours, Shanghai time, in which a failure counts as maintenance; \"\" = only the source's word counts",
    ),
    setting(
        "download.maintenance_wait_s",
        number(0.0, 86_400.0),
        "2100",
        "wait for a source under maintenance, seconds",
    ),
    setting("download.maintenance_waits", integer(0, 20), "3", "such waits of one symbol"),
    setting("download.maintenance_budget_s", number(0.0, 604_800.0), "7200", "time a run may spend in them, seconds"),
    setting(
        "download.circuit_s",
        number(0.0, 604_800.0),
        "2100",
        "time for which nothing more is tried behind the last of them, seconds",
    ),
    setting(
        "download.quarantine_max_ratio",
        number(0.0, 1.0),
        "0.001",
        "share of rejected rows above which a downloaded or recorded day is refused",
    ),
    setting(
        "record.retry_first_s",
        number(0.0, 3_600.0),
        "1",
        "wait before a cut line is made again, seconds; doubles",
    ),
    setting("record.retry_max_s", number(0.0, 86_400.0), "60", "longest of these waits, seconds"),
    setting(
        "record.quiet_s",
        number(0.0, 86_400.0),
        "600",
        "silence behind which a day that is over by the clock is stored, seconds",
    ),
    setting(
        "schedule.source",
        Kind::Word(&["oi", "vendor", "file"]),
        "\"oi\"",
        "who chooses the main contract: closing open interest, the vendor's table, or a file",
    ),
    setting("schedule.file", Kind::Text, "", "CSV of date,contract for schedule.source = file"),
    setting(
        "schedule.l5_start",
        Kind::Text,
        "",
        "first trading day of the schedule, as data l5-start finds it; unset = the first stored one",
    ),
    setting(
        "schedule.catalogue_ttl_s",
        integer(0, 10_000_000),
        "3600",
        "how long the list of a product's contracts that a source gave is used again, seconds; 0 = never",
    ),
    setting("schedule.confirm_days", integer(1, 20), "1", "days in a row a later contract must lead"),
    setting("schedule.min_days_to_expiry", integer(0, 60), "5", "trading days left at which a roll is forced"),
    setting("main_l5.total_workers", integer(0, 256), "0", "threads; 0 = one a core"),
    setting("l5_validate.gap_threshold_s", number(0.5, 3600.0), "5", "silence in seconds that counts as a gap segment"),
    setting(
        "l5_validate.strict_ratio",
        number(0.0, 1.0),
        "0.8",
        "share of seconds with two rows above which the cadence is fixed",
    ),
    setting("l5_validate.gap_threshold_s_day", number(0.5, 3600.0), "", "the same for day sessions; unset = as above"),
    setting("l5_validate.gap_threshold_s_night", number(0.5, 3600.0), "", "the same for the night; unset = as above"),
    setting("l5_validate.recheck_days", integer(0, 1000), "2", "days that data repair asks the source about"),
    setting("l5_validate.recheck_segments", integer(0, 1000), "8", "gaps of such a day, the longest ones"),
    setting(
        "l5_validate.missing_half_info_ratio",
        number(0.0, 1.0),
        "0.02",
        "share of half-second snapshots lacking from which on it is a note",
    ),
    setting(
        "l5_validate.missing_half_block_ratio",
        number(0.0, 1.0),
        "0.10",
        "the same from which on it is an error; not below the one above",
    ),
    setting(
        "l5_validate.gap_block_gt30",
        integer(0, 1_000_000),
        "0",
        "gaps over 30 s that are accepted, quiet ones apart",
    ),
    setting(
        "l5_validate.segments_warn_avg_per_day",
        number(0.0, 1e6),
        "500",
        "mean segments a day above which it is a warning",
    ),
    setting("l5_validate.max_segments_per_day", integer(10, 100_000), "200", "gaps of a day that are kept one by one"),
    setting(
        "l5_validate.outside_sessions_block_s",
        integer(0, 86_400),
        "60",
        "seconds outside sessions that are accepted",
    ),
    setting("l5_validate.source_blocking", Kind::Flag, "false", "missing days above the tolerance are an error"),
    setting("l5_validate.source_missing_days_tolerance", integer(0, 10_000), "0", "missing days that are accepted"),
    setting("l5_validate.report_max_days", integer(1, 100_000), "200", "days that a report lists, the worst first"),
    setting("build.workers", integer(0, 256), "0", "threads that build features and labels; 0 = one a core"),
    setting("build.block_rows", integer(512, 65_536), "2048", "rows a plugin gets in one call"),
    setting("build.threshold_k", integer(1, 1_000), "1", "price ticks a mid must move to count as up or down"),
    setting("plugin.memory_mib", integer(1, 4_096), "64", "largest linear memory that a manifest may ask for"),
    setting(
        "plugin.live_call_cpu_ms",
        integer(1, 1_000),
        "5",
        "largest CPU time of a live call that a manifest may ask for",
    ),
    setting(
        "plugin.block_call_cpu_ms",
        integer(1, 60_000),
        "2000",
        "largest CPU time of a block call that a manifest may ask for",
    ),
    setting(
        "plugin.wall_limit_ms",
        integer(10, 60_000),
        "1000",
        "wall time added to the CPU limit before a call is ended",
    ),
    setting("plugin.output_mib", integer(1, 1_024), "64", "largest answer to one call that a manifest may ask for"),
    setting("plugin.log_lines_per_s", integer(0, 10_000), "100", "log lines a second that are kept"),
    setting("plugin.log_line_bytes", integer(64, 65_536), "1024", "length at which a log line is cut"),
    setting("plugin.max_instances", integer(1, 4096), "1000", "instances that may live at once"),
    setting(
        "plugin.compile_cache_mib",
        integer(0, 100_000),
        "2048",
        "size to which the cache of compiled code is kept, MiB",
    ),
    setting(
        "plugin.signature",
        Kind::Word(&["off", "warn", "require"]),
        "\"warn\"",
        "what becomes of an artefact without a signature by a trusted key",
    ),
    setting("plugin.trusted_keys", Kind::Texts, "[]", "ed25519 public keys whose signatures count, 64 hex digits each"),
    setting("lineup.ring_rows", integer(1_000, 10_000_000), "100000", "rows kept for the warm-up of a new lineup"),
    setting(
        "lineup.shadow_min_ticks",
        integer(0, 10_000_000),
        "2000",
        "ticks a shadow must answer before its gate opens",
    ),
    setting(
        "lineup.shadow_min_sessions",
        integer(0, 20),
        "1",
        "sessions a shadow must see the end of before its gate opens",
    ),
    setting(
        "lineup.prove_ticks",
        integer(0, 1_000_000),
        "200",
        "ticks behind a swap in which every channel must show life",
    ),
    setting("lineup.standby_ticks", integer(0, 10_000_000), "20000", "ticks for which the former lineup is kept warm"),
    setting(
        "lineup.max_consecutive_errors",
        integer(0, 1_000_000),
        "20",
        "error answers in a row behind which a lineup counts as degraded",
    ),
    setting(
        "lineup.restart_backoff_ms",
        integer(1, 10_000),
        "200",
        "wait before a faulted instance is rebuilt; doubles, at most 5 s",
    ),
    setting(
        "lineup.restart_max",
        integer(0, 100),
        "3",
        "rebuilds within the window before the host rolls back or halts",
    ),
    setting("lineup.restart_window_s", integer(1, 86_400), "600", "window in which rebuilds are counted, seconds"),
    setting(
        "lineup.order_policy",
        Kind::Word(&["keep", "cancel", "flatten"]),
        "\"keep\"",
        "what becomes of working orders at a swap",
    ),
    setting(
        "lineup.on_halt",
        Kind::Word(&["cancel", "flatten"]),
        "\"cancel\"",
        "what becomes of orders and position at a halt",
    ),
    setting("server.host", Kind::Text, "\"127.0.0.1\"", "address the control API listens on"),
    setting("server.port", integer(0, 65_535), "8600", "port of the control API; 0 = any free one"),
    setting(
        "server.behind_proxy",
        Kind::Flag,
        "false",
        "another address than loopback is allowed, because a proxy in front speaks TLS",
    ),
    setting("server.sse_max", integer(1, 10_000), "64", "clients that may follow events at once"),
    setting("train.horizon", integer(1, 10_000), "50", "horizon of the label, rows"),
    setting("train.splits", integer(1, 50), "5", "walk-forward splits"),
    setting("train.min_rows", integer(100, 100_000_000), "10000", "fewest training rows of a fold"),
    setting("backtest.annual_days", integer(200, 366), "252", "trading days a year"),
    setting(
        "backtest.central_power",
        number(0.1, 20.0),
        "3.0",
        "power of the central fill model's queue probability; a guess",
    ),
    setting(
        "backtest.feed_us",
        integer(0, 10_000_000),
        "2000",
        "delay from the exchange's stamp to the strategy, microseconds",
    ),
    setting("backtest.order_us", integer(0, 10_000_000), "5000", "delay of an order, microseconds"),
    setting("backtest.cancel_us", integer(0, 10_000_000), "5000", "delay of a cancel, microseconds"),
    setting("backtest.initial_cny", number(1.0, 1e12), "1000000", "money at the start"),
    setting("backtest.threads", integer(0, 1_024), "0", "jobs of a batch at once; 0 = one a core"),
    setting(
        "backtest.memory_gib",
        number(0.0, 1e6),
        "0",
        "memory for a batch's days and jobs; 0 = most of what is free",
    ),
    setting("batch.ray_address", Kind::Text, "", "Ray cluster of `batch run --on` without a value, ray://HOST:PORT"),
    setting(
        "batch.python",
        Kind::Text,
        "",
        "Python with Ray; if unset, that of `cargo xtask setup --ray`, then python3 on the PATH",
    ),
    setting("batch.max_jobs", integer(1, 10_000_000), "100000", "jobs above which a batch is refused"),
    setting("batch.retries", integer(0, 20), "3", "tries more for a job that failed for want of disk, memory or store"),
    setting("batch.job_timeout_s", integer(1, 604_800), "3600", "time after which a job's process is killed, seconds"),
];
