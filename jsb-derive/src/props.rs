//! Whatever stands where an entity or a handler should, the macros expand it or say what is wrong.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::invariants::check;

/// Pieces of sources that come near to what is understood.
const PIECES: &[&str] = &[
    "#[syncable(resource = \"a\", keys = \"interleaved\")]",
    "#[syncable(version, skip, rename = \"\\0\")]",
    "#[syncable]",
    "#[syncable = 1]",
    "#[syncable(resource(\"a\"))]",
    "#[sea_orm(primary_key, auto_increment = false)]",
    "#[sea_orm(enum_name = \"no ident\", column_name = 1)]",
    "#[sea_orm(enum_name = \"_\")]",
    "#[sea_orm(ignore, default_value = \"\")]",
    "pub struct Model",
    "struct ModelEx",
    "struct r#Model<T>",
    "enum Model",
    "union Model",
    "{",
    "}",
    "(",
    ")",
    ",",
    ";",
    ":",
    "=",
    "id: i64,",
    "_: i64,",
    "_1: u8,",
    "__: Option<String>,",
    "r#type: DateTime<Local>,",
    "ŉ: [[[(); 3]; 3]; 3],",
    "updated_at: DateTimeUtc,",
    "updated_at: impl Fn(),",
    "resource = \"a\", event = \"b\"",
    "async fn f(event: &Event<P>, ctx: &HandlerContext<'_>) -> HandlerResult {}",
    "fn r#fn(self, mut x: &mut i32)",
    "async fn g() -> Result",
    ";;",
    "'a",
    "\"text\"",
    "0xff",
];

#[test]
fn a_field_whose_column_can_have_no_name_is_a_fault() {
    for field in ["_1", "__", "_"] {
        let source = format!("#[syncable(resource = \"a\")] struct Model {{ {field}: i64, updated_at: DateTimeUtc }}");
        let expanded = crate::syncable::expand(source.parse().expect("tokens")).to_string();
        assert!(expanded.contains("no variant of `Column` can have this name"), "{field}: {expanded}");
    }
}

proptest! {
    #[test]
    fn any_order_of_pieces_is_expanded_or_refused(pieces in vec(select(PIECES), 0..24)) {
        check(&pieces.join(" "));
    }

    #[test]
    fn any_entity_is_expanded_or_refused(
        settings in vec(select(PIECES), 0..3),
        fields in vec((select(PIECES), "[_a-z0-9]{1,6}", select(&["i64", "String", "Option<Uuid>", "DateTimeUtc"][..])), 0..6),
    ) {
        let fields: String = fields.into_iter().map(|(setting, name, ty)| format!("{setting} {name}: {ty}, ")).collect();
        check(&format!("{} struct Model {{ {fields} }}", settings.join(" ")));
    }

    #[test]
    fn any_text_is_expanded_or_refused(source in any::<String>()) {
        check(&source);
    }
}
