//! What the columns of both kinds of record have in common: their names, where a record comes from, and its identifiers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field};

use super::unannounced;
use crate::batch::{Identifier, MatchKey};

/// The digits of any 64-bit number.
pub(super) const DIGITS: u8 = 19;

/// The column of a record's account, in a store that the destination names.
pub(super) const ACCOUNT: &str = "_account_id";

/// Names of one file's columns. Many readers do not tell capital letters from small ones, so no two names differ in
/// those alone: one that is taken gets `_2`, `_3`, … behind it.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub fn add(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.0.insert(name.to_lowercase()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }
}

/// The columns every record begins with: table, row, and a column for each part of each strategy.
#[derive(Debug)]
pub(super) struct Origin {
    table: i64,
    /// Of how many columns each strategy consists.
    strategies: Vec<usize>,
}

impl Origin {
    pub fn of(table: u32, identifiers: &[Identifier], names: &mut Names, fields: &mut Vec<Field>) -> Self {
        fields.push(Field::new(names.add("_table"), DataType::Int64, false));
        fields.push(Field::new(names.add("_row"), DataType::Int64, false));
        // Added when the accounts are known, if at all.
        names.add(ACCOUNT);
        for key in identifiers.iter().flatten() {
            let name = match key {
                MatchKey::CrmId => names.add("_crm_id"),
                MatchKey::Domain => names.add("_domain"),
                MatchKey::Name => names.add("_name"),
                MatchKey::Id => names.add("_id"),
                MatchKey::Field(field) => names.add(&format!("_field:{field}")),
            };
            fields.push(Field::new(name, DataType::Utf8, true));
        }
        Self { table: i64::from(table), strategies: identifiers.iter().map(Vec::len).collect() }
    }

    /// One entry for each of the rows.
    pub fn columns(&self, rows: &[u32], identifiers: &[StringArray]) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_value(self.table, rows.len())),
            Arc::new(Int64Array::from_iter_values(rows.iter().copied().map(i64::from))),
        ];
        let mut others = identifiers;
        for width in &self.strategies {
            let (these, rest) = others.split_at_checked(*width).ok_or_else(|| unannounced("the identifiers"))?;
            others = rest;
            // A strategy of which a part is blank says nothing.
            let says = |row: usize| these.iter().all(|part| part.is_valid(row) && part.value_length(row) > 0);
            let said = NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), says));
            for part in these {
                let texts = StringArray::try_new(part.offsets().clone(), part.values().clone(), Some(said.clone()))?;
                columns.push(Arc::new(texts));
            }
        }
        Ok(columns)
    }
}

/// Unscaled numbers as decimals, each multiplied by `factor`.
pub(super) fn decimals(
    unscaled: &PrimitiveArray<Int64Type>,
    factor: i128,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, ArrowError> {
    let wide = unscaled.unary::<_, Decimal128Type>(|value| i128::from(value) * factor);
    Ok(Arc::new(wide.with_precision_and_scale(precision, scale)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_differ_in_capital_letters_alone() {
        let mut names = Names::default();
        let given = ["_row", "arr", "ARR", "Arr", "arr_2", "_row"].map(|name| names.add(name));
        assert_eq!(given, ["_row", "arr", "ARR_2", "Arr_3", "arr_2_2", "_row_2"]);
    }
}
