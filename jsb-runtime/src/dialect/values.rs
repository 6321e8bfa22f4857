//! Many rows as the values of few statements, where they are not bound as arrays.

use std::iter;

/// How many values a statement binds: far below the 32,766 of SQLite, and PostgreSQL's 65,535.
const MAX_VALUES: usize = 20_000;

/// How many of so many rows each statement takes: of few different lengths, since each text that was prepared stays in
/// the memory of its connection.
pub(crate) fn parts(mut rows: usize, columns: usize) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let part = Ord::min(1 << rows.checked_ilog2()?, MAX_VALUES / columns);
        rows -= part;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_taken_by_few_statements() {
        assert_eq!(parts(1_000, 10).collect::<Vec<_>>(), [512, 256, 128, 64, 32, 8]);
        assert_eq!(parts(1, 10).collect::<Vec<_>>(), [1]);
        assert_eq!(parts(0, 10).count(), 0);
    }

    #[test]
    fn no_statement_binds_too_many_values() {
        assert_eq!(parts(1_000, 50).collect::<Vec<_>>(), [400, 400, 128, 64, 8]);
    }
}
