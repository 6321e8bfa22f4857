//! The statements on an entity's table.

use sea_orm::Condition;
use sea_orm::sea_query::{
    DeleteStatement, Expr, ExprTrait, InsertStatement, Query, SelectStatement, UpdateStatement, Value,
};

use super::{Schema, Values, place};
use crate::version::Version;

impl Schema {
    pub(crate) fn column_named(&self, name: &str) -> Option<usize> {
        place(&self.columns, name)
    }

    pub(crate) fn is_key(&self, place: usize) -> bool {
        self.key.contains(&place)
    }

    /// The column in a statement on its table.
    pub(crate) fn column(&self, place: usize) -> Expr {
        Expr::col((self.table, self.columns[place].name))
    }

    /// A value that is bound for this column.
    pub(crate) fn bound(&self, place: usize, value: Value) -> Expr {
        (self.types.save_as)(place, Expr::val(value))
    }

    pub(crate) fn is(&self, place: usize, value: &Value) -> Expr {
        self.column(place).eq(self.bound(place, value.clone()))
    }

    /// The condition that singles out the row with this key.
    pub(crate) fn has_key(&self, key: &[Value]) -> Condition {
        self.key.iter().zip(key).fold(Condition::all(), |all, (place, value)| all.add(self.is(*place, value)))
    }

    /// Selects columns, each under its own name.
    pub(crate) fn select(&self, places: impl IntoIterator<Item = usize>, which: Condition) -> SelectStatement {
        let mut select = Query::select();
        for place in places {
            select.expr_as((self.types.select_as)(place, self.column(place)), self.columns[place].name);
        }
        select.from(self.table_ref.clone()).cond_where(which).to_owned()
    }

    /// Selects whole rows.
    pub(crate) fn select_all(&self, which: Condition) -> SelectStatement {
        let mut select = Query::select();
        (self.types.select_all)(&mut select);
        select.from(self.table_ref.clone()).cond_where(which).to_owned()
    }

    /// Inserts rows, all of which have the same columns.
    pub(crate) fn insert(&self, rows: impl IntoIterator<Item = Values>) -> InsertStatement {
        let mut insert = Query::insert();
        insert.into_table(self.table_ref.clone());
        for row in rows {
            let (columns, values): (Vec<_>, Vec<_>) = self.written(row).unzip();
            insert.columns(columns).values_panic(values);
        }
        insert
    }

    /// Writes all but the key.
    pub(crate) fn update(&self, mut row: Values, which: Condition) -> UpdateStatement {
        self.key.iter().for_each(|place| row[*place] = None);
        Query::update().table(self.table_ref.clone()).values(self.written(row)).cond_where(which).to_owned()
    }

    pub(crate) fn delete(&self, which: Condition) -> DeleteStatement {
        Query::delete().from_table(self.table_ref.clone()).cond_where(which).to_owned()
    }

    fn written(&self, row: Values) -> impl Iterator<Item = (&'static str, Expr)> {
        let values = row.into_iter().enumerate().filter_map(|(place, value)| Some((place, value?)));
        values.map(|(place, value)| (self.columns[place].name, self.bound(place, value)))
    }

    /// A row of which only the version is known.
    pub(crate) fn versioned(&self, version: Version) -> Values {
        let mut row = vec![None; self.columns.len()];
        row[self.version] = Some((self.types.version_value)(version));
        row
    }
}
