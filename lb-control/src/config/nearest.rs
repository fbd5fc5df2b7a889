//! What somebody probably meant to write.

/// The candidate most like `word`, when one is like it at all.
///
/// Likeness is Jaro-Winkler's, which favours a common beginning; 0.75 is
/// where it stops to look like a slip.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
