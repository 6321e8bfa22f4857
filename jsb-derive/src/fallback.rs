//! What stands in for the code of a faulty entity, so that its faults are the only errors that the compiler shows.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields};

use crate::{attr, expand};

pub(crate) fn expand(input: &DeriveInput, faults: &Error) -> TokenStream {
    let errors = faults.to_compile_error();
    if !is_model(input) {
        return errors;
    }
    let stub = expand::scope(stub(input));
    quote! {
        #errors
        #stub
    }
}

/// What any entity has, whatever its settings are.
fn stub(input: &DeriveInput) -> TokenStream {
    let save_methods = expand::save_methods();
    let settings = attr::entries(&input.attrs, "syncable").unwrap_or_default();
    let hooks = attr::find(&settings, "behavior").is_none().then(expand::hooks);
    quote! {
        #[automatically_derived]
        impl ::jsb_runtime::Syncable for Model {
            type Version = jsb::DateTimeUtc;
            const RESOURCE: &'static str = "";
            const KEYS: jsb::Keys = jsb::Keys::Natural;
            const ON_DELETE: jsb::OnDelete = jsb::OnDelete::Apply;
            const HAS_OWN_HOOKS: bool = true;
            const VERSION: Column = ::core::unreachable!();
            const FIELDS: &'static [jsb::Field<Column>] = &[];
        }
        #save_methods
        #hooks
    }
}

/// Around anything else SeaORM writes no `ActiveModel`, which the stub would miss.
fn is_model(input: &DeriveInput) -> bool {
    let has_named_fields = matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    input.ident == "Model" && input.generics.params.is_empty() && has_named_fields
}
