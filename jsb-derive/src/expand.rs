//! The code for an entity whose every choice was made and checked: nothing is decided here.

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::{Keys, OnDelete, Validated, WireField};

pub(crate) fn expand(entity: &Validated) -> TokenStream {
    let syncable = syncable(entity);
    let save_methods = save_methods();
    let hooks = if entity.custom_behavior { TokenStream::new() } else { hooks() };
    scope(quote! {
        #syncable
        #save_methods
        #hooks
        jsb::register!(Model);
    })
}

/// Keeps the names that the generated code uses out of the user's module.
pub(crate) fn scope(items: TokenStream) -> TokenStream {
    quote! {
        const _: () = {
            use ::jsb_runtime::__private as jsb;
            #items
        };
    }
}

fn syncable(entity: &Validated) -> TokenStream {
    let resource = &entity.resource;
    let keys = match entity.keys {
        Keys::Natural => quote!(Natural),
        Keys::Interleaved => quote!(Interleaved),
        Keys::SingleWriter => quote!(SingleWriter),
    };
    let on_delete = match entity.on_delete {
        OnDelete::Apply => quote!(Apply),
        OnDelete::Ignore => quote!(Ignore),
    };
    let has_own_hooks = entity.custom_behavior;
    let version_type = &entity.version.ty;
    let version = &entity.version.column;
    let fields = entity.fields.iter().map(|WireField { column, rename }| match rename {
        None => quote!(jsb::Field::new(Column::#column)),
        Some(name) => quote!(jsb::Field::renamed(Column::#column, #name)),
    });
    quote! {
        #[automatically_derived]
        impl ::jsb_runtime::Syncable for Model {
            type Version = #version_type;
            const RESOURCE: &'static str = #resource;
            const KEYS: jsb::Keys = jsb::Keys::#keys;
            const ON_DELETE: jsb::OnDelete = jsb::OnDelete::#on_delete;
            const HAS_OWN_HOOKS: bool = #has_own_hooks;
            const VERSION: Column = Column::#version;
            const FIELDS: &'static [jsb::Field<Column>] = &[#(#fields),*];
        }
    }
}

/// Inherent methods win over those of SeaORM's traits, so that an ordinary `row.insert(&db)` is atomic.
pub(crate) fn save_methods() -> TokenStream {
    quote! {
        #[automatically_derived]
        impl ActiveModel {
            /// Inserts the row, and records the event of it in the same transaction.
            pub fn insert<C: jsb::SaveConnection>(self, db: &C) -> jsb::Saving<'_, Model> {
                jsb::insert::<Model, _>(self, db)
            }

            /// Updates the row, and records the event of it in the same transaction.
            pub fn update<C: jsb::SaveConnection>(self, db: &C) -> jsb::Saving<'_, Model> {
                jsb::update::<Model, _>(self, db)
            }

            /// Updates the row, and records the event of it in the same transaction, without reading the row back.
            pub fn update_without_returning<C: jsb::SaveConnection>(
                self,
                db: &C,
            ) -> jsb::Saving<'_, jsb::UpdateResult> {
                jsb::update_without_returning::<Model, _>(self, db)
            }

            /// Inserts or updates the row, and records the event of it in the same transaction.
            pub fn save<C: jsb::SaveConnection>(self, db: &C) -> jsb::Saving<'_, Self> {
                jsb::save::<Model, _>(self, db)
            }

            /// Deletes the row, and records the event of it in the same transaction.
            pub fn delete<C: jsb::SaveConnection>(self, db: &C) -> jsb::Saving<'_, jsb::DeleteResult> {
                jsb::delete::<Model, _>(self, db)
            }
        }

        #[automatically_derived]
        impl Model {
            /// Deletes the row, and records the event of it in the same transaction.
            pub fn delete<C: jsb::SaveConnection>(self, db: &C) -> jsb::Saving<'_, jsb::DeleteResult> {
                jsb::delete_model(self, db)
            }
        }
    }
}

/// Saves that do not come through the methods above, as those of generic code, pass these hooks. They are written as
/// `async_trait` would, but as plain functions: a future of their own for each entity takes long to compile.
pub(crate) fn hooks() -> TokenStream {
    quote! {
        #[automatically_derived]
        impl jsb::ActiveModelBehavior for ActiveModel {
            fn before_save<'a, 'b, C>(self, db: &'a C, insert: bool) -> jsb::Saving<'b, Self>
            where
                'a: 'b,
                C: jsb::ConnectionTrait + 'b,
                Self: 'b,
            {
                ::jsb_runtime::hooks::before_save::<Model, _>(self, db, insert)
            }

            fn after_save<'a, 'b, C>(model: Model, db: &'a C, insert: bool) -> jsb::Saving<'b, Model>
            where
                'a: 'b,
                C: jsb::ConnectionTrait + 'b,
            {
                ::jsb_runtime::hooks::after_save(model, db, insert)
            }

            fn before_delete<'a, 'b, C>(self, db: &'a C) -> jsb::Saving<'b, Self>
            where
                'a: 'b,
                C: jsb::ConnectionTrait + 'b,
                Self: 'b,
            {
                ::jsb_runtime::hooks::before_delete::<Model, _>(self, db)
            }

            fn after_delete<'a, 'b, C>(self, db: &'a C) -> jsb::Saving<'b, Self>
            where
                'a: 'b,
                C: jsb::ConnectionTrait + 'b,
                Self: 'b,
            {
                ::jsb_runtime::hooks::after_delete::<Model, _>(self, db)
            }
        }
    }
}
