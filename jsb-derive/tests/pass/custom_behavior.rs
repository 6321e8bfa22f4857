//! An entity with hooks of its own.

pub mod entity {
    use jsb_runtime::hooks;
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows")]
    #[syncable(resource = "row", behavior = "custom")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        fn new() -> Self {
            Self { id: sea_orm::Set(Uuid::nil()), ..sea_orm::ActiveModelTrait::default() }
        }

        async fn before_save<C: ConnectionTrait>(self, db: &C, insert: bool) -> Result<Self, DbErr> {
            hooks::before_save::<Model, _>(self, db, insert).await
        }

        async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
            hooks::after_save(model, db, insert).await
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::before_delete::<Model, _>(self, db).await
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::after_delete::<Model, _>(self, db).await
        }
    }
}

#[test]
fn the_behavior_is_the_one_written_by_hand() {
    assert_eq!(entity::ActiveModel::default().id, sea_orm::Set(sea_orm::prelude::Uuid::nil()));
}
