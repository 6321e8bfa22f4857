use super::*;

/// Lists of every kind, and what looks like one.
mod basket {
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    use crate::syncable::{Field, Keys, OnDelete, Syncable};

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "baskets")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: Uuid,
        pub(super) items: Items,
        pub(super) item: Option<Item>,
        pub(super) json: Json,
        pub(super) bytes: Vec<u8>,
        #[sea_orm(column_type = "JsonBinary")]
        pub(super) bare: Vec<Item>,
        #[sea_orm(column_type = "Json", nullable)]
        pub(super) bare_or_none: Option<Vec<Item>>,
        #[sea_orm(column_type = "Text")]
        pub(super) texts: Vec<String>,
        pub(super) numbers: Vec<i32>,
        pub(super) updated_at: DateTimeUtc,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
    pub(super) struct Item {
        name: String,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
    pub(super) struct Items(Vec<Item>);

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
        const FIELDS: &'static [Field<Column>] = &[
            Field::new(Column::Id),
            Field::new(Column::Items),
            Field::new(Column::Item),
            Field::new(Column::Json),
            Field::new(Column::Bytes),
            Field::new(Column::Bare),
            Field::new(Column::BareOrNone),
            Field::new(Column::Texts),
            Field::new(Column::Numbers),
            Field::new(Column::UpdatedAt),
        ];
    }
}

static SCHEMA: LazySchema = LazySchema::of::<basket::Model>();
static BASKET: EntityRegistration = EntityRegistration::of::<basket::Model>(&SCHEMA);

#[test]
fn a_column_travels_unless_it_is_an_array() {
    let numbers = |is_array| Column { name: "n", field: "n", of: ArrayType::Int, is_nullable: false, is_array };
    assert!(has_form(&numbers(false)) && !has_form(&numbers(true)));
}

#[test]
fn a_list_travels_in_a_struct_of_its_own_and_never_bare() {
    let columns = BASKET.schema().columns.iter();
    let bare: Vec<_> = columns.filter(|column| !has_form(column)).map(|column| column.name).collect();
    assert_eq!(bare, ["bare", "bare_or_none", "texts", "numbers"]);
    let refused = check([&BASKET], []).expect_err("a refusal");
    assert!(matches!(refused, RegistryError::Type { resource: "basket", column: "bare" }), "{refused}");
    assert!(refused.to_string().contains("wrapped in a struct of your own"), "{refused}");
}

/// The basket with nothing but its key, which can travel.
static FIT: LazySchema = LazySchema(LazyLock::new(|| {
    let mut schema = Schema::of::<basket::Model>();
    schema.columns.truncate(1);
    schema
}));

#[test]
fn a_binary_without_entities_and_handlers_is_refused() {
    let refused = check([], []).expect_err("a refusal");
    assert!(matches!(refused, RegistryError::Empty), "{refused}");
    assert!(refused.to_string().contains("use that_crate as _;"), "{refused}");
    static ALONE: EntityRegistration = EntityRegistration::of::<basket::Model>(&FIT);
    assert!(check([&ALONE], []).is_ok());
}

#[test]
fn two_entities_of_one_resource_are_refused() {
    static ONE: EntityRegistration = EntityRegistration::of::<basket::Model>(&FIT);
    static OTHER: EntityRegistration =
        EntityRegistration { model: || "hamper::Model", ..EntityRegistration::of::<basket::Model>(&FIT) };
    let refused = check([&ONE, &OTHER], []).expect_err("a refusal");
    assert!(matches!(refused, RegistryError::Duplicate { resource: "basket", .. }), "{refused}");
    let said = ["`basket`", "basket::Model", "hamper::Model"];
    assert!(said.iter().all(|said| refused.to_string().contains(said)), "{refused}");
}

#[test]
fn two_columns_that_travel_under_one_name_are_refused() {
    static SCHEMA: LazySchema = LazySchema(LazyLock::new(|| {
        let mut schema = Schema::of::<basket::Model>();
        schema.columns.truncate(2);
        schema.columns[1].field = "id";
        schema
    }));
    static RENAMED: EntityRegistration = EntityRegistration::of::<basket::Model>(&SCHEMA);
    let refused = check([&RENAMED], []).expect_err("a refusal");
    assert!(matches!(refused, RegistryError::SameField { resource: "basket", field: "id" }), "{refused}");
}

#[test]
fn a_key_is_of_a_type_by_which_both_sides_know_rows() {
    let mut schema = Schema::of::<basket::Model>();
    let mut is_fit = |keys, of| {
        schema.keys = keys;
        schema.columns[schema.key[0]].of = of;
        key_fault(&schema).is_none()
    };
    for fraction in [ArrayType::Decimal, ArrayType::Float, ArrayType::Double] {
        assert!(!is_fit(Keys::Natural, fraction.clone()), "{fraction:?}");
    }
    assert!(is_fit(Keys::Natural, ArrayType::String) && is_fit(Keys::SingleWriter, ArrayType::SmallInt));
    assert!(is_fit(Keys::Interleaved, ArrayType::Unsigned));
    for of in [ArrayType::SmallInt, ArrayType::BigUnsigned, ArrayType::Uuid] {
        assert!(!is_fit(Keys::Interleaved, of.clone()), "{of:?}");
    }
}

/// A handler that is registered for these events of users, and whose type says what it takes.
fn handler(event: &'static str, entity: Option<&'static str>) -> &'static HandlerRegistration {
    let name = "welcome";
    Box::leak(Box::new(HandlerRegistration { resource: "user", event, entity, name, run: |_, _| unreachable!() }))
}

#[test]
fn a_handler_takes_the_rows_of_its_own_resource() {
    let takes_right = [("created", Some("user")), ("updated", None), ("deleted", Some("user"))];
    // What a custom event carries is the application's own choice.
    for (event, entity) in takes_right.into_iter().chain([("banned", Some("organization"))]) {
        assert!(check([], [handler(event, entity)]).is_ok(), "{event} {entity:?}");
    }
    for event in ["created", "updated", "deleted"] {
        let refused = check([], [handler(event, Some("organization"))]).expect_err("a refusal").to_string();
        let said = ["welcome", "`user`", event, "`organization`"];
        assert!(said.iter().all(|said| refused.contains(said)), "{refused}");
    }
}
