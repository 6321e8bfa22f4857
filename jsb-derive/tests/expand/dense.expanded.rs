const _: () = {
    use ::jsb_runtime::__private as jsb;
    #[automatically_derived]
    impl ::jsb_runtime::Syncable for Model {
        type Version = TimeDateTimeWithTimeZone;
        const RESOURCE: &'static str = "membership";
        const KEYS: jsb::Keys = jsb::Keys::Natural;
        const ON_DELETE: jsb::OnDelete = jsb::OnDelete::Ignore;
        const HAS_OWN_HOOKS: bool = false;
        const VERSION: Column = Column::Changed;
        const FIELDS: &'static [jsb::Field<Column>] = &[
            jsb::Field::new(Column::UserId),
            jsb::Field::new(Column::OrganizationId),
            jsb::Field::new(Column::Changed),
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
    jsb::register!(Model);
};
