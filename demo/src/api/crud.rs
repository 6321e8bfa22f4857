//! The routes of one resource, written once for all.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use sea_orm::{DatabaseConnection, DbErr, QueryOrder, SqlErr};

use super::body::Body;
use super::error::ApiError;
use super::resource::Resource;

type Db = State<DatabaseConnection>;
type Id = Result<Path<i64>, PathRejection>;
type Answer<T> = Result<T, ApiError>;

/// The collection and its rows.
pub(crate) fn routes<R: Resource>() -> Router<DatabaseConnection> {
    let rows = get(list::<R>).post(create::<R>);
    let row = get(show::<R>).patch(change::<R>).put(change::<R>).delete(remove::<R>);
    Router::new().route(R::PATH, rows).route(&format!("{}/{{id}}", R::PATH), row)
}

async fn list<R: Resource>(State(db): Db) -> Answer<Json<Vec<R::View>>> {
    let newest_first = R::AGE.into_iter().fold(R::find(), QueryOrder::order_by_desc);
    Ok(Json(R::load(newest_first, &db).await?))
}

async fn show<R: Resource>(State(db): Db, id: Id) -> Answer<Json<R::View>> {
    let found = R::load(R::find_by_id(parse::<R>(id)?), &db).await?.pop();
    found.map(Json).ok_or(ApiError::NotFound(R::NAME))
}

async fn create<R: Resource>(State(db): Db, body: Body<R>) -> Answer<(StatusCode, Json<R::View>)> {
    let row = R::create(body.into_new_row()?, &db).await.map_err(explain::<R>)?;
    Ok((StatusCode::CREATED, Json(row)))
}

async fn change<R: Resource>(State(db): Db, id: Id, body: Body<R>) -> Answer<Json<R::View>> {
    let row = R::change(parse::<R>(id)?, body.into_changes()?, &db).await.map_err(explain::<R>)?;
    Ok(Json(row))
}

async fn remove<R: Resource>(State(db): Db, id: Id) -> Answer<StatusCode> {
    let deleted = R::remove(parse::<R>(id)?, &db).await.map_err(explain::<R>)?;
    match deleted.rows_affected {
        0 => Err(ApiError::NotFound(R::NAME)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// What is no number names no row.
fn parse<R: Resource>(id: Id) -> Answer<i64> {
    id.map(|Path(id)| id).map_err(|_| ApiError::NotFound(R::NAME))
}

/// The database is the judge of what is unique and what exists: a question asked beforehand could be outrun.
fn explain<R: Resource>(error: DbErr) -> ApiError {
    match (error.sql_err(), error) {
        (Some(SqlErr::UniqueConstraintViolation(which)), _) if which.contains(R::UNIQUE) => {
            ApiError::invalid(R::UNIQUE, "has already been taken")
        }
        (Some(SqlErr::ForeignKeyConstraintViolation(_)), _) => {
            let (field, complaint) = R::FOREIGN_KEY;
            ApiError::invalid(field, complaint)
        }
        // An update of nothing only reads the row.
        (_, DbErr::RecordNotUpdated | DbErr::RecordNotFound(_)) => ApiError::NotFound(R::NAME),
        (_, error) => error.into(),
    }
}
