/// One row: a word an input, in the order of the description's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    words: &'a [u64],
}

impl<'a> Row<'a> {
    /// A row over packed words.
    pub const fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// Number of inputs.
    pub const fn len(self) -> usize {
        self.words.len()
    }

    /// Whether the row has no inputs.
    pub const fn is_empty(self) -> bool {
        self.words.is_empty()
    }

    /// The input at that position; NaN = null.
    ///
    /// # Panics
    /// Where the description has fewer inputs.
    #[track_caller]
    #[inline]
    pub fn number(self, input: usize) -> f64 {
        f64::from_bits(self.words[input])
    }

    /// The first `N` inputs; `N` follows from the pattern: `let [bid, ask] = row.numbers();`.
    ///
    /// # Panics
    /// Where the description has fewer inputs.
    #[track_caller]
    #[inline]
    #[expect(clippy::panic, reason = "a plugin that reads what it did not declare is a defect its author must see")]
    pub fn numbers<const N: usize>(self) -> [f64; N] {
        match self.words.first_chunk::<N>() {
            Some(words) => words.map(f64::from_bits),
            None => panic!("{N} inputs read, {} declared", self.words.len()),
        }
    }

    /// The input `datetime` at that position: ns since the epoch (UTC).
    ///
    /// # Panics
    /// Where the description has fewer inputs.
    #[track_caller]
    #[inline]
    pub fn time_ns(self, input: usize) -> i64 {
        self.words[input].cast_signed()
    }
}

/// Consecutive rows of one width.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    words: &'a [u64],
    width: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` words each; words behind the last whole row are left out.
    ///
    /// # Panics
    /// At width 0.
    pub const fn new(words: &'a [u64], width: usize) -> Self {
        assert!(width > 0, "rows of width 0");
        Self { words, width }
    }

    /// Number of rows.
    pub const fn len(self) -> usize {
        self.words.len() / self.width
    }

    /// Whether there is no row.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The row at that position, if there is one.
    #[inline]
    pub fn get(self, row: usize) -> Option<Row<'a>> {
        let start = row.checked_mul(self.width)?;
        self.words.get(start..)?.get(..self.width).map(Row::new)
    }

    /// The rows in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = Row<'a>> {
        self.words.chunks_exact(self.width).map(Row::new)
    }
}

/// The NaN of an output that was not written. Its bytes are all alike, so that a block of them is one memory fill.
pub(crate) const UNSET: f64 = f64::from_bits(u64::MAX);

/// Owned names of inputs.
pub(crate) fn names<S: Into<String>>(inputs: impl IntoIterator<Item = S>) -> Vec<String> {
    inputs.into_iter().map(Into::into).collect()
}

/// Refuses a description that no host can serve.
pub(crate) fn check_names<'a>(
    what: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), crate::PluginError> {
    use crate::PluginError::InvalidInput;
    if names.clone().next().is_none() {
        return Err(InvalidInput(format!("the description has no {what}; name at least one")));
    }
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(InvalidInput(format!("the description's {what} name `{name}` twice or not at all")));
        }
    }
    Ok(())
}

/// Number of rows in a flat list of words.
pub(crate) fn count(words: &[u64], width: usize) -> Result<usize, crate::PluginError> {
    if words.len().is_multiple_of(width) {
        return Ok(words.len() / width);
    }
    Err(crate::PluginError::InvalidInput(format!(
        "a block of {} words does not divide into rows of {width}; send whole rows",
        words.len()
    )))
}
