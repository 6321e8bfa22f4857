use jsb_runtime::prelude::*;

#[derive(Clone, Syncable)]
#[syncable(resource = "row", keys = "interleaved")]
pub struct Row {
    pub id: i64,
    #[syncable(version)]
    pub updated: i64,
}

fn main() {}
