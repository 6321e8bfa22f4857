//! Compares what the macros write with the files in `tests/expand`, which are there to be read.
//! `UPDATE_EXPECT=1` writes them anew.

use std::env;
use std::fs;
use std::path::PathBuf;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{File, Item, ItemFn};

#[test]
fn compact() {
    golden("compact");
}

#[test]
fn dense() {
    golden("dense");
}

#[test]
fn custom_behavior() {
    golden("custom_behavior");
}

#[test]
fn faulty() {
    golden("faulty");
}

#[test]
fn handler() {
    golden("handler");
}

fn golden(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/expand");
    let source = fs::read_to_string(folder.join(format!("{name}.rs"))).expect("the case has a source");
    let source = syn::parse_file(&source).expect("the source is Rust");
    let expanded = source.items.into_iter().map(expand).collect();
    let expanded = prettyplease::unparse(&syn::parse2(expanded).expect("the expansion is Rust"));

    let recorded = folder.join(format!("{name}.expanded.rs"));
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&recorded, &expanded).expect("the folder can be written to");
    }
    let recorded = fs::read_to_string(&recorded).expect("UPDATE_EXPECT=1 records the expansion of a new case");
    assert!(
        recorded == expanded,
        "the expansion of `{name}` is not the recorded one, which UPDATE_EXPECT=1 replaces, but:\n{expanded}"
    );
}

/// What the compiler makes of an item. (It keeps the struct of a derive, too, which would only repeat the source.)
fn expand(item: Item) -> TokenStream {
    match item {
        Item::Struct(item) => crate::syncable::expand(item.into_token_stream()),
        Item::Fn(item) => expand_handlers(item),
        item => item.into_token_stream(),
    }
}

/// Attributes expand from the outermost inwards.
fn expand_handlers(mut function: ItemFn) -> TokenStream {
    if function.attrs.is_empty() {
        return function.into_token_stream();
    }
    let attribute = function.attrs.remove(0);
    let arguments = attribute.meta.require_list().expect("a handler has arguments").tokens.clone();
    let expanded = crate::handler::expand(arguments, function.into_token_stream());
    let expanded: File = syn::parse2(expanded).expect("the expansion is Rust");
    expanded.items.into_iter().map(expand).collect()
}
