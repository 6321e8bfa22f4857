::core::compile_error! {
    "this is not known here; write one of `resource`, `keys`, `delete`, `behavior`"
}
::core::compile_error! {
    "this entity has no name on the wire; write `#[syncable(resource = \"..\")]`"
}
::core::compile_error! {
    "the database draws this key, so both systems would draw 1, 2, 3, .. and overwrite each other's rows; write\n`#[syncable(keys = \"interleaved\")]` if both systems create rows, so that each draws numbers of its own,\n`#[syncable(keys = \"single_writer\")]` if only one of the systems ever creates rows, or\n`#[sea_orm(primary_key, auto_increment = false)]` if it is the application that draws the key"
}
::core::compile_error! {
    "a row that was never edited has a version too; make the type of the version `DateTimeUtc`"
}
::core::compile_error! {
    "a row of the other side comes without this column; make its type an `Option`, or give it a default with `#[sea_orm(default_value = ..)]`"
}
const _: () = {
    use ::jsb_runtime::__private as jsb;
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
    #[automatically_derived]
    impl ActiveModel {
        /// Inserts the row, and records the event of it in the same transaction.
        pub async fn insert<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<Model, jsb::DbErr> {
            jsb::insert::<Model, _>(self, db).await
        }
        /// Updates the row, and records the event of it in the same transaction.
        pub async fn update<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<Model, jsb::DbErr> {
            jsb::update::<Model, _>(self, db).await
        }
        /// Updates the row, and records the event of it in the same transaction, without reading the row back.
        pub async fn update_without_returning<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<jsb::UpdateResult, jsb::DbErr> {
            jsb::update_without_returning::<Model, _>(self, db).await
        }
        /// Inserts or updates the row, and records the event of it in the same transaction.
        pub async fn save<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<Self, jsb::DbErr> {
            jsb::save::<Model, _>(self, db).await
        }
        /// Deletes the row, and records the event of it in the same transaction.
        pub async fn delete<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<jsb::DeleteResult, jsb::DbErr> {
            jsb::delete::<Model, _>(self, db).await
        }
    }
    #[automatically_derived]
    impl Model {
        /// Deletes the row, and records the event of it in the same transaction.
        pub async fn delete<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> ::core::result::Result<jsb::DeleteResult, jsb::DbErr> {
            jsb::delete_model(self, db).await
        }
    }
    #[automatically_derived]
    #[jsb::async_trait::async_trait]
    impl jsb::ActiveModelBehavior for ActiveModel {
        async fn before_save<C: jsb::ConnectionTrait>(
            self,
            db: &C,
            insert: bool,
        ) -> ::core::result::Result<Self, jsb::DbErr> {
            ::jsb_runtime::hooks::before_save::<Model, _>(self, db, insert).await
        }
        async fn after_save<C: jsb::ConnectionTrait>(
            model: Model,
            db: &C,
            insert: bool,
        ) -> ::core::result::Result<Model, jsb::DbErr> {
            ::jsb_runtime::hooks::after_save(model, db, insert).await
        }
        async fn before_delete<C: jsb::ConnectionTrait>(
            self,
            db: &C,
        ) -> ::core::result::Result<Self, jsb::DbErr> {
            ::jsb_runtime::hooks::before_delete::<Model, _>(self, db).await
        }
        async fn after_delete<C: jsb::ConnectionTrait>(
            self,
            db: &C,
        ) -> ::core::result::Result<Self, jsb::DbErr> {
            ::jsb_runtime::hooks::after_delete::<Model, _>(self, db).await
        }
    }
};
