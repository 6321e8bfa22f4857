use sea_orm::ActiveValue::{NotSet, Set};
use uuid::Uuid;

use super::*;

/// A basket whose items stay at home, in a bare list.
mod basket {
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    use crate::syncable::{Field, Keys, OnDelete, Syncable};

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "baskets")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: Uuid,
        #[sea_orm(column_type = "JsonBinary", nullable)]
        pub(super) items: Option<Vec<Item>>,
        pub(super) updated_at: DateTimeUtc,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
    pub(super) struct Item {
        name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Syncable for Model {
        type Version = DateTimeUtc;
        const RESOURCE: &'static str = "basket";
        const KEYS: Keys = Keys::Natural;
        const ON_DELETE: OnDelete = OnDelete::Apply;
        const HAS_OWN_HOOKS: bool = false;
        const VERSION: Column = Column::UpdatedAt;
        const FIELDS: &'static [Field<Column>] = &[Field::new(Column::Id), Field::new(Column::UpdatedAt)];
    }
}

/// PostgreSQL would take such a list for an array of JSON.
#[test]
fn a_bare_list_is_left_to_the_hooks() {
    let is_at_once = |items| {
        let row = basket::ActiveModel { id: Set(Uuid::now_v7()), items, updated_at: Set(clock::now()) };
        let event = NewEvent::new("basket", "1", event_type::CREATED, Json::Null);
        bound_statement::<basket::Model>(Kind::Insert, &event, [], &row).expect("values that can be written").is_some()
    };
    assert!(is_at_once(NotSet));
    assert!(!is_at_once(Set(Some(Vec::new()))) && !is_at_once(Set(None)));
}
