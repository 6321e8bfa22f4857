//! Errors as text.

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The text as PostgreSQL can store it: without NUL, which a foreign payload may bring into an error.
pub(crate) fn storable(error: &str) -> String {
    error.replace('\0', "\u{fffd}")
}
