const _: () = {
    use ::jsb_runtime::__private as jsb;
    #[automatically_derived]
    impl ::jsb_runtime::Syncable for Model {
        type Version = DateTime;
        const RESOURCE: &'static str = "counter";
        const KEYS: jsb::Keys = jsb::Keys::SingleWriter;
        const ON_DELETE: jsb::OnDelete = jsb::OnDelete::Apply;
        const HAS_OWN_HOOKS: bool = true;
        const VERSION: Column = Column::UpdatedAt;
        const FIELDS: &'static [jsb::Field<Column>] = &[
            jsb::Field::new(Column::Id),
            jsb::Field::new(Column::UpdatedAt),
        ];
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
    jsb::register!(Model);
};
