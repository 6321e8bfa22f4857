mod compact {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows")]
    #[syncable(resource = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        #[sea_orm(ignore)]
        #[syncable(rename = "computed")]
        pub ignored: Option<String>,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
}

mod dense {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "rows")]
    #[syncable(resource = "row")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: Uuid,
        pub parent_id: Option<Uuid>,
        pub updated_at: DateTimeUtc,
        #[sea_orm(self_ref, relation_enum = "Parent", from = "parent_id", to = "id")]
        #[syncable(skip)]
        pub parent: HasOne<Entity>,
    }
}

fn main() {}
