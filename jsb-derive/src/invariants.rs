//! What must hold of any source, for the property tests and for the fuzz target in `fuzz/`.

use proc_macro2::TokenStream;
use syn::{DeriveInput, File};

/// What can be parsed is expanded to Rust, and nothing panics. The part before the first `;;` goes to a handler's attribute.
pub(crate) fn check(source: &str) {
    let (arguments, item) = source.split_once(";;").unwrap_or(("", source));
    let (Ok(arguments), Ok(item)) = (arguments.parse::<TokenStream>(), item.parse::<TokenStream>()) else { return };
    let derived = crate::syncable::expand(item.clone());
    assert_rust(&derived);
    if syn::parse2::<DeriveInput>(item.clone()).is_err() {
        assert!(derived.to_string().contains("compile_error"), "{derived}");
    }
    let handled = crate::handler::expand(arguments, item.clone());
    // The item itself is left as it is.
    if syn::parse2::<File>(item).is_ok() {
        assert_rust(&handled);
    }
}

fn assert_rust(expanded: &TokenStream) {
    let file = syn::parse2::<File>(expanded.clone());
    assert!(file.is_ok(), "{:?}: {expanded}", file.err());
}
