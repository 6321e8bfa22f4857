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
    jsb::register!(Model);
};
