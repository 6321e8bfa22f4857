//! Many values in one statement of PostgreSQL's: an array for each column, so that the text is the same for any number of
//! rows, is short, and is prepared once.

use sea_orm::sea_query::{Alias, ArrayType, CaseStatement, Expr, Func, Query, SelectStatement, Value, Values};
use sea_orm::{DbBackend, Statement};

/// The values of one column, row by row.
pub(crate) struct Column {
    of: ArrayType,
    values: Vec<Value>,
    is_nullable: bool,
}

impl Column {
    /// A column; `None` if its values have no form in an array.
    pub(crate) fn new(values: Vec<Value>, is_nullable: bool) -> Option<Self> {
        let of = array_type(&values)?;
        // The driver takes no null within an array.
        let is_nullable = is_nullable || values.iter().any(is_null);
        let fits = values.iter().all(|value| value.array_type() == of);
        fits.then_some(Self { of, values, is_nullable })
    }

    /// A column of texts.
    pub(crate) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        Self { of: ArrayType::String, values: values.map(Value::from).collect(), is_nullable: false }
    }

    /// A column of numbers, each of which may be missing.
    pub(crate) fn numbers(values: impl Iterator<Item = Option<i64>>) -> Self {
        Self { of: ArrayType::BigInt, values: values.map(Value::from).collect(), is_nullable: true }
    }
}

/// An array of values; `None` if they have no form in one.
pub(crate) fn array(values: Vec<Value>) -> Option<Value> {
    let of = array_type(&values)?;
    let fits = values.iter().all(|value| !is_null(value) && value.array_type() == of);
    fits.then(|| Value::Array(of, Some(Box::new(values))))
}

/// The type of an array of these; `None` where the driver has none: it takes a `u8` array for bytes.
fn array_type(values: &[Value]) -> Option<ArrayType> {
    let of = values.first()?.array_type();
    (of != ArrayType::TinyUnsigned).then_some(of)
}

/// What a column is called in such a SELECT.
pub(crate) fn name_of(place: usize) -> String {
    format!("v{place}")
}

/// A SELECT of many rows, and the arrays that they come from.
pub(crate) struct Rows {
    pub(crate) select: SelectStatement,
    arrays: Vec<Value>,
}

impl Rows {
    /// The statement, as built around the SELECT. The arrays are put in at last, since the builder copies what it binds.
    pub(crate) fn put_into(self, (sql, mut values): (String, Values)) -> Statement {
        let places = values.0.iter_mut().filter(|value| matches!(value, Value::Array(_, None)));
        places.zip(self.arrays).for_each(|(place, array)| *place = array);
        Statement { sql, values: Some(values), db_backend: DbBackend::Postgres }
    }
}

/// Selects the columns row by row, each as `shown` shows it.
pub(crate) fn rows(columns: impl IntoIterator<Item = Column>, shown: impl Fn(usize, Expr) -> Expr) -> Rows {
    let (mut places, mut select, mut arrays) = (Query::select(), Query::select(), Vec::new());
    let mut unnest = |array: Value, name: String| {
        let place = Value::Array(array.array_type(), None);
        places.expr_as(Func::cust("unnest").arg(Expr::val(place)), Alias::new(name));
        arrays.push(array);
    };
    for (place, column) in columns.into_iter().enumerate() {
        let (name, nulls) = (format!("c{place}"), format!("n{place}"));
        let mut value = Expr::col(("r", name.clone()));
        let Column { of, mut values, is_nullable } = column;
        if is_nullable {
            let are_null: Vec<bool> = values.iter().map(is_null).collect();
            fill(&mut values);
            unnest(are_null.into(), nulls.clone());
            let null = CaseStatement::new().case(Expr::col(("r", nulls)), Expr::null());
            value = null.finally(value).into();
        }
        unnest(Value::Array(of, Some(Box::new(values))), name);
        select.expr_as(shown(place, value), Alias::new(name_of(place)));
    }
    select.from_subquery(places, "r");
    Rows { select, arrays }
}

fn is_null(value: &Value) -> bool {
    *value == value.as_null()
}

/// Puts any of the values where there is none. Of nothing but nulls no value remains, and `unnest` gives nulls as far as
/// the other arrays go.
fn fill(values: &mut Vec<Value>) {
    match values.iter().find(|value| !is_null(value)).cloned() {
        Some(any) => values.iter_mut().filter(|value| is_null(value)).for_each(|value| *value = any.clone()),
        None => values.clear(),
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::PostgresQueryBuilder;

    use super::*;

    #[test]
    fn the_text_does_not_depend_on_the_values() {
        let text = |values: &[Option<i64>]| {
            let values = values.iter().copied().map(Value::from).collect();
            let column = Column::new(values, true).expect("numbers have an array form");
            rows([column], |_, value| value).select.build(PostgresQueryBuilder).0
        };
        assert_eq!(text(&[Some(1), None, Some(3)]), text(&[Some(1)]));
        assert_eq!(text(&[None]), text(&[Some(1)]));
    }

    #[test]
    fn what_the_driver_takes_in_no_array_is_refused() {
        assert!(Column::new(vec![Value::from(1_u8)], false).is_none());
        assert!(Column::new(vec![Value::from(1_i32), Value::from(1_i64)], false).is_none());
        assert!(array(vec![Value::from(1_i64), Value::BigInt(None)]).is_none());
        assert!(array(Vec::new()).is_none());
    }
}
