//! `#[derive(Syncable)]`, from the struct to the code.

use proc_macro2::TokenStream;
use syn::{DeriveInput, Error};

use crate::{check, expand, fallback, input};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input).map_or_else(Error::into_compile_error, |input| expand_struct(&input))
}

fn expand_struct(input: &DeriveInput) -> TokenStream {
    let entity = input::Entity::read(input);
    if input.ident == "ModelEx" {
        // The second struct of SeaORM's dense format: everything is written for the first one, `Model`.
        let checked = entity.and_then(|model_ex| check::check_relations(&model_ex));
        return checked.map_or_else(Error::into_compile_error, |()| TokenStream::new());
    }
    match entity.and_then(|entity| check::validate(&entity)) {
        Ok(entity) => expand::expand(&entity),
        Err(faults) => fallback::expand(input, &faults),
    }
}
