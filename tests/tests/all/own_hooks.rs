//! Hooks of one's own that leave out the runtime's: what would have no event is refused.

use std::fmt::Debug;

use jsb_tests::{App, Pair};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DbErr, EntityTrait, IntoActiveModel, TransactionTrait};
use uuid::Uuid;

/// A guarded row whose text names the hooks that are left out.
mod forgetful {
    use jsb_runtime::{hooks, prelude::*};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "guarded")]
    #[syncable(resource = "forgetful", behavior = "custom")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub text: String,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    fn leaves_out(row: &ActiveModel, hook: &str) -> bool {
        row.text.try_as_ref().is_some_and(|text| text.contains(hook))
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, db: &C, insert: bool) -> Result<Self, DbErr> {
            match leaves_out(&self, "before_save") {
                true => Ok(self),
                false => hooks::before_save::<Model, _>(self, db, insert).await,
            }
        }

        async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
            match model.text.contains("after_save") {
                true => Ok(model),
                false => hooks::after_save(model, db, insert).await,
            }
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            match leaves_out(&self, "before_delete") {
                true => Ok(self),
                false => hooks::before_delete::<Model, _>(self, db).await,
            }
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            match leaves_out(&self, "after_delete") {
                true => Ok(self),
                false => hooks::after_delete::<Model, _>(self, db).await,
            }
        }
    }
}

const SAVE: [&str; 3] = ["before_save", "after_save", "before_save, after_save"];
const DELETE: [&str; 3] = ["before_delete", "after_delete", "before_delete, after_delete"];

fn row(text: &str) -> forgetful::ActiveModel {
    forgetful::ActiveModel {
        id: Set(Uuid::now_v7()),
        text: Set(text.to_owned()),
        // Where nothing draws a version, the row must not fail for that.
        updated_at: Set(chrono::Utc::now()),
    }
}

async fn texts(app: &App) -> Vec<String> {
    app.texts("SELECT text FROM guarded ORDER BY text").await
}

/// That the refusal says what to call from where.
fn names_hooks<T: Debug>(refused: Result<T, DbErr>, of: &str) {
    let refused = refused.expect_err("no event").to_string();
    for part in ["`forgetful`", &format!("jsb_runtime::hooks::before_{of}"), &format!("jsb_runtime::hooks::after_{of}")]
    {
        assert!(refused.contains(part), "{refused}");
    }
}

on_both! {
    async fn a_save_whose_hooks_leave_out_its_event_is_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = row("kept").insert(&app.db).await.expect("a save by all hooks");
        for left_out in SAVE {
            names_hooks(row(left_out).insert(&app.db).await, "save");
            let mut change = kept.clone().into_active_model();
            change.text = Set(left_out.to_owned());
            names_hooks(change.update(&app.db).await, "save");
            let txn = app.db.begin().await.expect("a transaction");
            names_hooks(row(left_out).insert(&txn).await, "save");
            txn.rollback().await.expect("a rollback");
        }
        let txn = app.db.begin().await.expect("a transaction");
        names_hooks(row("after_save").insert(&txn).await, "save");
        // A transaction that failed may fail to commit: what counts is what it leaves.
        let _ = txn.commit().await;
        assert_eq!(texts(&app).await, ["kept"]);
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn a_delete_whose_hooks_leave_out_its_event_is_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        for left_out in DELETE {
            let row = row(left_out).insert(&app.db).await.expect("a save by all hooks");
            names_hooks(row.clone().delete(&app.db).await, "delete");
            let txn = app.db.begin().await.expect("a transaction");
            names_hooks(row.delete(&txn).await, "delete");
            txn.rollback().await.expect("a rollback");
        }
        let found = forgetful::Entity::find().all(&app.db).await.expect("rows");
        let row = found.into_iter().find(|row| row.text == "after_delete").expect("the row is still there");
        let txn = app.db.begin().await.expect("a transaction");
        names_hooks(row.delete(&txn).await, "delete");
        let _ = txn.commit().await;
        assert_eq!(texts(&app).await.len(), DELETE.len());
        assert_eq!(app.recorded().await.len(), DELETE.len());
        assert_eq!(app.texts("SELECT resource_id FROM sync_tombstones").await, [""; 0]);
    }

    async fn hooks_may_leave_out_an_event_that_nobody_wants(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let quietly = async |text| jsb_runtime::skip_publish(row(text).insert(&app.db)).await.expect("a silent save");
        for left_out in SAVE {
            let row = quietly(left_out).await;
            jsb_runtime::skip_publish(row.delete(&app.db)).await.expect("a silent delete");
        }
        for left_out in DELETE {
            jsb_runtime::skip_publish(quietly(left_out).await.delete(&app.db)).await.expect("a silent delete");
        }
        let row = quietly("before_save, after_save").await;
        let unchanged = row.clone().into_active_model().update(&app.db).await;
        assert_eq!(unchanged, Ok(row.clone()));
        let text = Set("before_save".to_owned());
        let gone = forgetful::ActiveModel { id: Unchanged(Uuid::now_v7()), text, ..Default::default() };
        assert_eq!(gone.update(&app.db).await, Err(DbErr::RecordNotUpdated));
        assert_eq!(texts(&app).await, [row.text]);
        assert_eq!(app.recorded().await.len(), 0);
    }
}
