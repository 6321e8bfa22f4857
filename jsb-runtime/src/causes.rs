//! Errors as text.

/// The longest error that is kept or logged, in characters: a foreign payload may be quoted in it.
const MAX_ERROR_CHARS: usize = 4_000;

/// An error with all that caused it, in one line, shortened.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    shortened(&text, MAX_ERROR_CHARS)
}

/// The text as PostgreSQL can store it: without NUL, which a foreign payload may bring into an error, and shortened.
pub(crate) fn storable(error: &str) -> String {
    shortened(error, MAX_ERROR_CHARS).replace('\0', "\u{fffd}")
}

/// At most `limit` characters of a text, the last of which says if there were more.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}
