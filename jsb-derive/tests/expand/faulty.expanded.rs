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
    "a row of the other side comes without this column; make its type an `Option` and the database's column nullable, or give that column a default and say so with `#[sea_orm(default_value = ..)]`"
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
        pub fn delete<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> jsb::Saving<'_, jsb::DeleteResult> {
            jsb::delete::<Model, _>(self, db)
        }
    }
    #[automatically_derived]
    impl Model {
        /// Deletes the row, and records the event of it in the same transaction.
        pub fn delete<C: jsb::SaveConnection>(
            self,
            db: &C,
        ) -> jsb::Saving<'_, jsb::DeleteResult> {
            jsb::delete_model(self, db)
        }
    }
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
        fn after_save<'a, 'b, C>(
            model: Model,
            db: &'a C,
            insert: bool,
        ) -> jsb::Saving<'b, Model>
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
};
