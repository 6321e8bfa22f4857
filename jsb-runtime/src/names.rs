//! The names of closed sets, as somebody typed them.

use std::fmt::Display;

/// A text that is no name of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {set}: write one of {names}")]
pub struct UnknownName {
    text: String,
    set: &'static str,
    names: String,
}

/// The one of `all` whose name this is; `set` says what they are.
pub(crate) fn named<T: Display>(
    text: &str,
    set: &'static str,
    all: impl IntoIterator<Item = T> + Clone,
) -> Result<T, UnknownName> {
    let names = || all.clone().into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ");
    let found = all.clone().into_iter().find(|one| one.to_string() == text);
    found.ok_or_else(|| UnknownName { text: text.to_owned(), set, names: names() })
}
