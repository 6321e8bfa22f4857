//! The entries of an attribute: `name`, or `name = value`.

use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, Result, Token};

use crate::faults::Faults;

/// The entries of every `#[name(..)]`, in the order in which they were written.
pub(crate) fn entries(attrs: &[Attribute], name: &str) -> Result<Vec<Meta>> {
    let mut faults = Faults::default();
    let attrs = attrs.iter().filter(|attr| attr.path().is_ident(name));
    let entries = attrs.filter_map(|attr| faults.take(attr.parse_args_with(list))).flatten().collect();
    faults.finish(entries)
}

/// Parses what stands between the parentheses.
pub(crate) fn list(input: ParseStream<'_>) -> Result<Vec<Meta>> {
    let entries = Punctuated::<Meta, Token![,]>::parse_terminated(input).map_err(|fault| {
        Error::new(fault.span(), format!("{fault}; write `name` or `name = \"value\"`, with commas between them"))
    })?;
    Ok(entries.into_iter().collect())
}

/// The first entry of that name.
pub(crate) fn find<'a>(entries: &'a [Meta], name: &str) -> Option<&'a Meta> {
    entries.iter().find(|entry| entry.path().is_ident(name))
}

/// A name that is not known is a typo, and of one that comes twice nobody sees which counts.
pub(crate) fn check_names(entries: &[Meta], known: &[&str]) -> Result<()> {
    let mut faults = Faults::default();
    for (i, entry) in entries.iter().enumerate() {
        let path = entry.path();
        match known.iter().find(|name| path.is_ident(name)) {
            None => {
                let message = format!("this is not known here; write one of `{}`", known.join("`, `"));
                faults.add(Error::new_spanned(path, message));
            }
            Some(name) if find(&entries[..i], name).is_some() => {
                faults.add(Error::new_spanned(path, format!("`{name}` is given twice; write it once")));
            }
            Some(_) => {}
        }
    }
    faults.finish(())
}

/// The string of `name = "string"`.
pub(crate) fn string(entry: &Meta) -> Result<&LitStr> {
    match value(entry) {
        Some(Lit::Str(string)) => Ok(string),
        _ => Err(Error::new_spanned(entry, format!("write `{} = \"..\"`, with a string", name(entry)))),
    }
}

/// The boolean of `name = true`, if it is one.
pub(crate) fn boolean(entry: &Meta) -> Option<bool> {
    match value(entry) {
        Some(Lit::Bool(boolean)) => Some(boolean.value),
        _ => None,
    }
}

/// The meaning of `name = "string"`, where the string is one of few.
pub(crate) fn choice<T: Copy>(entry: &Meta, choices: &[(&str, T)]) -> Result<T> {
    let chosen = string(entry).map_or_else(|_| String::new(), LitStr::value);
    let meaning = choices.iter().find(|(choice, _)| *choice == chosen).map(|(_, meaning)| *meaning);
    meaning.ok_or_else(|| {
        let name = name(entry);
        let choices: Vec<_> = choices.iter().map(|(choice, _)| format!("`{name} = \"{choice}\"`")).collect();
        Error::new_spanned(entry, format!("write {}", choices.join(" or ")))
    })
}

/// An entry that is a word alone.
pub(crate) fn check_word(entry: &Meta) -> Result<()> {
    match entry {
        Meta::Path(_) => Ok(()),
        _ => Err(Error::new_spanned(entry, format!("write only `{}`, without a value", name(entry)))),
    }
}

fn value(entry: &Meta) -> Option<&Lit> {
    let Meta::NameValue(entry) = entry else { return None };
    let mut value = &entry.value;
    // What a macro of the user's filled in comes in a group of its own.
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    if let Expr::Lit(ExprLit { lit, .. }) = value { Some(lit) } else { None }
}

fn name(entry: &Meta) -> String {
    entry.path().get_ident().map_or_else(String::new, ToString::to_string)
}
