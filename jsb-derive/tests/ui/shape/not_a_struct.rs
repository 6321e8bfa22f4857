use jsb_runtime::prelude::*;

#[derive(Syncable)]
#[syncable(resource = "row")]
pub enum Model {
    Row,
}

#[derive(Syncable)]
#[syncable(resource = "row")]
pub struct Pair(i64, i64);

#[derive(Syncable)]
pub struct Nothing;

fn main() {}
