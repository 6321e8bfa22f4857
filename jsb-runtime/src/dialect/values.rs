//! Many rows as the values of few statements, where they are not bound as arrays.

use std::iter;

/// How many values a statement binds: far below the 32,766 of SQLite, and PostgreSQL's 65,535.
const MAX_VALUES: usize = 20_000;

/// How many rows a statement takes: of few different lengths, since each text that was prepared stays in the memory of its
/// connection; and of those that people choose for a batch, so that a full one of few columns is a single statement.
const LENGTHS: [usize; 10] = [1_000, 500, 200, 100, 50, 20, 10, 5, 2, 1];

/// How many of so many rows each statement takes.
pub(crate) fn parts(mut rows: usize, columns: usize) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let part = LENGTHS.into_iter().find(|length| *length <= rows && length * columns <= MAX_VALUES)?;
        rows -= part;
        Some(part)
    })
}

/// What both databases call the columns of `VALUES`.
pub(crate) fn names(columns: usize) -> impl Iterator<Item = String> {
    (1..=columns).map(|number| format!("column{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_taken_by_few_statements() {
        assert_eq!(parts(1_000, 10).collect::<Vec<_>>(), [1_000]);
        assert_eq!(parts(998, 10).collect::<Vec<_>>(), [500, 200, 200, 50, 20, 20, 5, 2, 1]);
        assert_eq!(parts(1, 10).collect::<Vec<_>>(), [1]);
        assert_eq!(parts(0, 10).count(), 0);
    }

    #[test]
    fn no_statement_binds_too_many_values() {
        assert_eq!(parts(1_000, 50).collect::<Vec<_>>(), [200; 5]);
    }
}
