//! The known word that a misspelt one most likely means.

/// The candidate with the smallest edit distance to `word`, if it is near enough to be meant (at most a third of its length, at least 2).
///
/// Distance: Damerau–Levenshtein with adjacent transpositions (optimal string alignment).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(2);
    candidates.into_iter().map(|c| (distance(word, c), c)).filter(|(d, _)| *d <= bound).min().map(|(_, c)| c)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-08
    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        assert_eq!(nearest("varr", ["var", "days", "seed"]), Some("var"));
        assert_eq!(nearest("gap_treshold_s", ["gap_threshold_s", "strict_ratio"]), Some("gap_threshold_s"));
        assert_eq!(nearest("zzzzzz", ["var", "days", "seed"]), None);
    }
}
