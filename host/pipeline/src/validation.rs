//! Gaps per second inside sessions, and what they and the other counts amount to: states and a reason code.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of whole UTC seconds, both ends included, that a session's rows should fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Part of the night session; it has its own gap threshold.
    #[serde(rename = "session", serialize_with = "session_name", deserialize_with = "is_night")]
    pub night: bool,
    /// First second.
    pub start_s: i64,
    /// Last second.
    pub end_s: i64,
}

impl Interval {
    /// Seconds.
    pub const fn length_s(&self) -> i64 {
        self.end_s - self.start_s + 1
    }
}

fn session_name<S: Serializer>(night: &bool, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(if *night { "night" } else { "day" })
}

fn is_night<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(d)? == "night")
}

/// How rows follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cadence {
    /// Two snapshots in most seconds.
    #[serde(rename = "fixed_0p5s")]
    Fixed,
    /// A row when something happens.
    #[serde(rename = "event")]
    Event,
}

/// Numbers of gaps by length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapBuckets {
    /// 2 to 5 s.
    #[serde(rename = "2_5")]
    pub from_2_to_5_s: u64,
    /// 6 to 15 s.
    #[serde(rename = "6_15")]
    pub from_6_to_15_s: u64,
    /// 16 to 30 s.
    #[serde(rename = "16_30")]
    pub from_16_to_30_s: u64,
    /// Longer.
    #[serde(rename = "gt_30")]
    pub over_30_s: u64,
}

/// Coverage of a symbol-day's sessions, second by second.
///
/// Strict seconds leave out the first and last of each interval. A gap is a maximal run of strict seconds without rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapStatistics {
    /// Seconds of all intervals.
    pub expected_s: i64,
    /// Strict seconds.
    pub strict_s: i64,
    /// Seconds with rows in some interval.
    pub in_session_s: i64,
    /// Seconds with rows in no interval.
    pub outside_s: i64,
    /// Strict seconds with exactly one row.
    pub with_one_s: i64,
    /// Strict seconds with two rows or more.
    pub with_two_plus_s: i64,
    /// By the share of the latter.
    pub cadence: Cadence,
    /// Strict seconds without rows.
    pub missing_s: i64,
    /// Strict seconds with fewer than two rows; 0 unless the cadence is fixed.
    pub half_missing_s: i64,
    /// First and last seconds without rows.
    pub boundary_missing_s: i64,
    /// Longest gap.
    pub max_gap_s: i64,
    /// Gaps at or over the session's threshold.
    pub gaps: Vec<Interval>,
    /// All gaps of 2 s and more.
    pub buckets: GapBuckets,
    /// Gaps over 30 s.
    pub count_gt_30: u64,
    /// Per interval with rows, one and its `gaps` that have strict seconds with rows on both sides.
    pub observed_segments: u64,
    /// From the last second with rows to the end of the last interval; `None` without rows.
    pub end_lag_s: Option<i64>,
    /// No row in any interval.
    pub missing_day: bool,
}

/// The shortest legal threshold of a gap, s.
pub const MIN_GAP_THRESHOLD_S: f64 = 0.5;

/// What counts as a gap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GapRule {
    /// Share of strict seconds with two rows or more, of those with any, from which on the cadence is fixed; 0..1.
    pub strict_ratio: f64,
    /// Gap threshold of day windows, s, ≥ 0.5.
    pub day_threshold_s: f64,
    /// Gap threshold of the night, s, ≥ 0.5.
    pub night_threshold_s: f64,
}

/// Counts seconds and gaps.
///
/// `intervals` ascend and do not overlap; `rows_per_second` holds (UTC second, rows > 0), ascending. Thresholds below 0.5 s
/// count as 0.5 s: the settings refuse them.
pub fn compute_gap_statistics(intervals: &[Interval], rows_per_second: &[(i64, u64)], rule: GapRule) -> GapStatistics {
    let mut g = GapStatistics {
        expected_s: 0,
        strict_s: 0,
        in_session_s: 0,
        outside_s: 0,
        with_one_s: 0,
        with_two_plus_s: 0,
        cadence: Cadence::Event,
        missing_s: 0,
        half_missing_s: 0,
        boundary_missing_s: 0,
        max_gap_s: 0,
        gaps: Vec::new(),
        buckets: GapBuckets::default(),
        count_gt_30: 0,
        observed_segments: 0,
        end_lag_s: None,
        missing_day: true,
    };
    let mut last_seen = None;
    for iv in intervals {
        let from = rows_per_second.partition_point(|(s, _)| *s < iv.start_s);
        let to = rows_per_second.partition_point(|(s, _)| *s <= iv.end_s);
        let seen = &rows_per_second[from..to.max(from)];
        let length = iv.end_s - iv.start_s + 1;
        g.expected_s += length;
        g.strict_s += (length - 2).max(0);
        g.in_session_s += seen.len() as i64;
        let has = |s: i64| seen.binary_search_by_key(&s, |(t, _)| *t).is_ok();
        g.boundary_missing_s += i64::from(!has(iv.start_s)) + i64::from(iv.end_s != iv.start_s && !has(iv.end_s));
        last_seen = seen.last().map(|(s, _)| *s).or(last_seen);

        let strict = |s: i64| s > iv.start_s && s < iv.end_s;
        let threshold = if iv.night { rule.night_threshold_s } else { rule.day_threshold_s }.max(MIN_GAP_THRESHOLD_S);
        let mut inner = 0;
        let mut previous: Option<i64> = None;
        for &(s, rows) in seen.iter().filter(|(s, _)| strict(*s)) {
            if rows >= 2 {
                g.with_two_plus_s += 1;
            } else {
                g.with_one_s += 1;
            }
            let is_segment = g.add_gap(iv.night, previous.unwrap_or(iv.start_s) + 1, s - 1, threshold);
            inner += u64::from(is_segment && previous.is_some());
            previous = Some(s);
        }
        g.add_gap(iv.night, previous.unwrap_or(iv.start_s) + 1, iv.end_s - 1, threshold);
        g.observed_segments += if seen.is_empty() { 0 } else { 1 + inner };
    }
    g.outside_s = rows_per_second.len() as i64 - g.in_session_s;
    let with_rows = g.with_one_s + g.with_two_plus_s;
    g.missing_s = g.strict_s - with_rows;
    if with_rows > 0 && g.with_two_plus_s as f64 / with_rows as f64 >= rule.strict_ratio {
        g.cadence = Cadence::Fixed;
        g.half_missing_s = g.strict_s - g.with_two_plus_s;
    }
    g.missing_day = g.in_session_s == 0;
    g.end_lag_s = last_seen.zip(intervals.last()).map(|(seen, iv)| iv.end_s - seen);
    g
}

impl GapStatistics {
    /// Counts the gap `start_s..=end_s` (nothing if empty); true if it is at or over the threshold.
    fn add_gap(&mut self, night: bool, start_s: i64, end_s: i64, threshold_s: f64) -> bool {
        let length = end_s - start_s + 1;
        if length < 1 {
            return false;
        }
        self.max_gap_s = self.max_gap_s.max(length);
        match length {
            1 => {}
            2..=5 => self.buckets.from_2_to_5_s += 1,
            6..=15 => self.buckets.from_6_to_15_s += 1,
            16..=30 => self.buckets.from_16_to_30_s += 1,
            _ => {
                self.buckets.over_30_s += 1;
                self.count_gt_30 += 1;
            }
        }
        let is_segment = length as f64 >= threshold_s;
        if is_segment {
            self.gaps.push(Interval { night, start_s, end_s });
        }
        is_segment
    }
}

/// Limits of the validation (`l5_validate` in the settings).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValidationPolicy {
    /// Shortest gap that is a segment, s, by day.
    pub gap_threshold_day_s: f64,
    /// The same by night, s.
    pub gap_threshold_night_s: f64,
    /// See [`GapRule::strict_ratio`].
    pub strict_ratio: f64,
    /// Ratio of half misses from which on it is worth a note.
    pub missing_half_info_ratio: f64,
    /// Ratio of half misses from which on it blocks.
    pub missing_half_block_ratio: f64,
    /// Gaps over 30 s that are still accepted.
    pub gap_block_gt30: u64,
    /// Segments per day that are still accepted.
    pub segments_warn_avg_per_day: f64,
    /// Seconds outside sessions that are still accepted.
    pub outside_sessions_block_s: i64,
    /// Missing days of the source block.
    pub source_blocking: bool,
    /// Missing days that are still accepted.
    pub source_missing_days_tolerance: u64,
}

impl Default for ValidationPolicy {
    fn default() -> Self {
        Self {
            gap_threshold_day_s: 5.0,
            gap_threshold_night_s: 5.0,
            strict_ratio: 0.8,
            missing_half_info_ratio: 0.02,
            missing_half_block_ratio: 0.10,
            gap_block_gt30: 0,
            segments_warn_avg_per_day: 500.0,
            outside_sessions_block_s: 60,
            source_blocking: false,
            source_missing_days_tolerance: 0,
        }
    }
}

impl ValidationPolicy {
    /// The part that says what a gap is.
    pub fn gap_rule(&self) -> GapRule {
        GapRule {
            strict_ratio: self.strict_ratio,
            day_threshold_s: self.gap_threshold_day_s,
            night_threshold_s: self.gap_threshold_night_s,
        }
    }
}

/// What the days of one validation add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ValidationCounts {
    /// Half misses of days with fixed cadence, s.
    pub half_missing_s: i64,
    /// Strict seconds of days with fixed cadence.
    pub strict_fixed_s: i64,
    /// Seconds with rows outside sessions.
    pub outside_s: i64,
    /// Gaps over 30 s, quiet ones left out.
    pub count_gt_30: u64,
    /// Mean observed segments of a day.
    pub segments_avg_per_day: f64,
    /// Days without rows.
    pub missing_days: u64,
    /// Failed questions to the provider.
    pub provider_errors: u64,
    /// Segments that the provider lacks too.
    pub provider_missing_segments: u64,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing to say.
    Ok,
    /// Worth a note (half misses only).
    Info,
    /// Usable with care.
    Warn,
    /// Not to be used.
    Error,
}

/// The one reason that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "action_hint says what each means")]
pub enum ReasonCode {
    OutsideSessionsBlock,
    MissingHalfSecondsBlock,
    GapGt30Block,
    SourceMissingDaysBlock,
    SourceMissingDaysWarn,
    MissingHalfSecondsInfo,
    OutsideSessionsWarn,
    SegmentsAvgWarn,
    QualityOk,
    NoopUpToDate,
    DaysMissing,
    L5Missing,
}

impl ReasonCode {
    /// What to do about it.
    pub const fn action_hint(self) -> &'static str {
        match self {
            Self::OutsideSessionsBlock => {
                "check session times and time zone of the source; rows lie outside trading hours"
            }
            Self::MissingHalfSecondsBlock => "get the days again: too many half-second snapshots are lacking",
            Self::GapGt30Block => "get the days again, or raise gap_block_gt30 if the market was idle",
            Self::SourceMissingDaysBlock => "import the missing days, or raise source_missing_days_tolerance",
            Self::SourceMissingDaysWarn => "some days or segments are lacking at the source; import them if they exist",
            Self::MissingHalfSecondsInfo => "some half-second snapshots are lacking; compare with another source",
            Self::OutsideSessionsWarn => "a few rows lie outside trading hours; check the session table",
            Self::SegmentsAvgWarn => "many short gaps a day; raise the gap threshold if the product is thin",
            Self::QualityOk => "nothing to do",
            Self::NoopUpToDate => "no day is new since the last validation",
            Self::DaysMissing => {
                "no day is stored or expected, so there is nothing to judge: check symbol and range (ghtrader data list), or import"
            }
            Self::L5Missing => "ticks are stored, main_l5 is not: ghtrader main schedule, then ghtrader main build",
        }
    }
}

/// The verdict over some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ValidationState {
    /// Half misses alone.
    pub half: State,
    /// Rows outside sessions.
    pub engineering: State,
    /// Gaps, half misses, segments.
    pub policy: State,
    /// Missing days and provider answers.
    pub source: State,
    /// The worst of the three.
    pub overall: State,
    /// `overall` is ok.
    pub ok: bool,
    /// The first reason that applies.
    pub reason_code: ReasonCode,
}

impl ValidationState {
    /// The verdict where no day is expected: nothing was looked at, so nothing can be relied on.
    pub(crate) const fn of_nothing(reason_code: ReasonCode) -> Self {
        let (half, engineering, policy) = (State::Ok, State::Ok, State::Ok);
        Self { half, engineering, policy, source: State::Error, overall: State::Error, ok: false, reason_code }
    }
}

/// Judges counts by a policy.
pub fn compute_validation_state(c: &ValidationCounts, p: &ValidationPolicy) -> ValidationState {
    let worst = |error: bool, warn: bool| match (error, warn) {
        (true, _) => State::Error,
        (_, true) => State::Warn,
        _ => State::Ok,
    };
    let half = if c.half_missing_s > 0 && c.strict_fixed_s == 0 {
        State::Error
    } else {
        let ratio = c.half_missing_s as f64 / c.strict_fixed_s.max(1) as f64;
        match ratio {
            r if c.half_missing_s > 0 && r >= p.missing_half_block_ratio => State::Error,
            r if c.half_missing_s > 0 && r >= p.missing_half_info_ratio => State::Info,
            _ => State::Ok,
        }
    };
    let outside_block = c.outside_s > p.outside_sessions_block_s;
    let gap_block = c.count_gt_30 > p.gap_block_gt30;
    let segments_warn = c.segments_avg_per_day > p.segments_warn_avg_per_day;
    let source_block = p.source_blocking && c.missing_days > p.source_missing_days_tolerance;
    let source_warn = c.missing_days > 0 || c.provider_errors > 0 || c.provider_missing_segments > 0;

    let engineering = worst(outside_block, c.outside_s > 0);
    let policy = worst(gap_block || half == State::Error, half == State::Info || segments_warn);
    let source = worst(source_block, source_warn);
    let overall = engineering.max(policy).max(source);
    let reasons = [
        (outside_block, ReasonCode::OutsideSessionsBlock),
        (half == State::Error, ReasonCode::MissingHalfSecondsBlock),
        (gap_block, ReasonCode::GapGt30Block),
        (source_block, ReasonCode::SourceMissingDaysBlock),
        (source_warn, ReasonCode::SourceMissingDaysWarn),
        (half == State::Info, ReasonCode::MissingHalfSecondsInfo),
        (c.outside_s > 0, ReasonCode::OutsideSessionsWarn),
        (segments_warn, ReasonCode::SegmentsAvgWarn),
    ];
    let reason_code = reasons.iter().find(|(applies, _)| *applies).map_or(ReasonCode::QualityOk, |(_, code)| *code);
    ValidationState { half, engineering, policy, source, overall, ok: overall == State::Ok, reason_code }
}
