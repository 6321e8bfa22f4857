//! What `row.insert(&db)` and its like mean, in both formats, with all of SeaORM's traits in scope.

use std::any::type_name;

use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, TransactionTrait};

use super::{compact, dense};

/// The futures of every save, by method call.
macro_rules! saves {
    ($entity:path, $model:expr, $db:expr) => {{
        use $entity as entity;
        let model: entity::Model = $model;
        let row = || entity::ActiveModel::from(model.clone());
        (
            row().insert($db),
            row().update($db),
            row().update_without_returning($db),
            row().save($db),
            row().delete($db),
            model.clone().delete($db),
        )
    }};
}

fn compact() -> compact::user::Model {
    compact::user::Model { id: Uuid::nil(), organization_id: None, updated_at: Default::default() }
}

fn dense() -> dense::user::Model {
    dense::user::Model { id: Uuid::nil(), organization_id: None, edited: Default::default() }
}

/// A method of SeaORM's traits names its trait, an inherent one has none.
fn is_inherent<F>(_: F) -> bool {
    !type_name::<F>().contains(" as sea_orm::")
}

macro_rules! assert_all_inherent {
    ($entity:path) => {{
        use $entity as entity;
        type Db = DatabaseConnection;
        assert!(is_inherent(entity::ActiveModel::insert::<Db>));
        assert!(is_inherent(entity::ActiveModel::update::<Db>));
        assert!(is_inherent(entity::ActiveModel::update_without_returning::<Db>));
        assert!(is_inherent(entity::ActiveModel::save::<Db>));
        assert!(is_inherent(entity::ActiveModel::delete::<Db>));
        assert!(is_inherent(entity::Model::delete::<Db>));
    }};
}

#[test]
fn saves_are_those_of_the_derive() {
    let of_the_trait = <compact::user::ActiveModel as ActiveModelTrait>::insert::<DatabaseConnection>;
    assert!(!is_inherent(of_the_trait), "a method of a trait is told apart");
    assert_all_inherent!(compact::user);
    assert_all_inherent!(dense::user);
}

fn assert_send<T: Send>(_: T) {}

/// A web server moves the futures of its requests between threads. Compiled, not run: it takes a transaction.
#[expect(dead_code)]
fn saves_are_send(db: &DatabaseConnection, txn: &DatabaseTransaction) {
    assert_send(saves!(compact::user, compact(), db));
    assert_send(saves!(compact::user, compact(), txn));
    assert_send(saves!(dense::user, dense(), db));
    assert_send(saves!(dense::user, dense(), txn));
}

/// Code that is generic over its connection says that it can begin a transaction.
#[expect(dead_code)]
async fn saves_of_generic_code<C: ConnectionTrait + TransactionTrait>(db: &C) -> Result<(), DbErr> {
    let user = compact().into_active_model().insert(db).await?;
    let user = user.into_active_model().save(db).await?;
    let user = user.update(db).await?;
    user.clone().into_active_model().delete(db).await?;
    user.delete(db).await?;
    Ok(())
}

/// The methods that SeaORM's dense format has for a row and its relations.
#[expect(dead_code)]
fn saves_of_nested_rows_are_send(db: &DatabaseConnection, txn: &DatabaseTransaction) {
    let organization = || {
        dense::organization::ActiveModel::builder()
            .set_domain("acme.example")
            .add_user(dense::user::ActiveModel::builder().set_id(Uuid::nil()))
            .add_tag(dense::tag::ActiveModel::builder().set_name("customer"))
    };
    assert_send(organization().insert(db));
    assert_send(organization().update(txn));
    assert_send(organization().save(db));
    assert_send(organization().delete(txn));
    assert_send(dense().cascade_delete(db));
    assert_send(dense().into_ex().delete(txn));
}
