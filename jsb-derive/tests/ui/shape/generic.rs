use jsb_runtime::prelude::*;

#[derive(Clone, Syncable)]
#[syncable(resource = "row")]
pub struct Model<'a, T> {
    pub id: &'a T,
}

fn main() {}
