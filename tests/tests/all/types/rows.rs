//! Versions of every type and keys of every kind.

use jsb_tests::Pair;
use jsb_tests::entities::{label, membership, versioned};
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use uuid::Uuid;

async fn versions_travel(pair: &mut Pair) {
    pair.start_both().await;
    /// Saves on A, edits on B, saves and deletes again: versions rise and both sides end equal.
    macro_rules! travels {
        ($module:ident) => {{
            use versioned::$module::{ActiveModel, Entity};
            let row = || ActiveModel { id: Set(Uuid::now_v7()), text: Set("one".to_owned()), ..Default::default() };
            let gone = row().insert(&pair.a.db).await.expect("a save");
            let saved = row().insert(&pair.a.db).await.expect("a save");
            pair.agree::<Entity>().await;
            let mut change = saved.clone().into_active_model();
            change.text = Set("two".to_owned());
            let changed = change.update(&pair.b.db).await.expect("an update");
            assert!(changed.changed_at > saved.changed_at);
            gone.delete(&pair.b.db).await.expect("a delete");
            assert_eq!(pair.agree::<Entity>().await, [changed]);
        }};
    }
    travels!(chrono_utc);
    travels!(chrono_zoned);
    travels!(chrono_naive);
    travels!(time_zoned);
    travels!(time_naive);
}

const AWKWARD: [&str; 6] = ["plain", "with/slash", "100%2F", "é\u{1F980} ", "a.b > *", "'; --"];

async fn keys_travel(pair: &mut Pair) {
    pair.start_both().await;
    for (number, text) in (-1..).zip(AWKWARD) {
        let label =
            label::ActiveModel { code: Set(text.to_owned()), caption: Set(text.to_owned()), ..Default::default() };
        label.insert(&pair.a.db).await.expect("a label");
        let member = membership::ActiveModel {
            group: Set(text.to_owned()),
            member: Set(number),
            role: Set("guest".to_owned()),
            ..Default::default()
        };
        member.insert(&pair.a.db).await.expect("a member");
    }
    assert_eq!(pair.agree::<label::Entity>().await.len(), AWKWARD.len());
    for row in pair.agree::<membership::Entity>().await {
        let mut change = row.into_active_model();
        change.role = Set("host".to_owned());
        change.update(&pair.b.db).await.expect("an update on B");
    }
    for row in pair.agree::<membership::Entity>().await {
        assert_eq!(row.role, "host");
        row.delete(&pair.b.db).await.expect("a delete on B");
    }
    for row in pair.agree::<label::Entity>().await {
        row.delete(&pair.b.db).await.expect("a delete on B");
    }
    assert_eq!(pair.agree::<membership::Entity>().await, []);
    assert_eq!(pair.agree::<label::Entity>().await, []);
}

also_mixed! {
    versions_of_every_type_order_rows: versions_travel;
    keys_of_every_kind_name_their_row: keys_travel;
}
