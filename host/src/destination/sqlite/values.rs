//! How values stand in SQLite: one storage class a value type, readable by people.
//!
//! | type | stored as |
//! |---|---|
//! | text | text |
//! | integer | integer |
//! | float | real; what is not a number is no value |
//! | decimal | exact text without trailing zeros as an account field; unscaled integer as usage, so that it sums exactly |
//! | boolean | 0 or 1 |
//! | date | text, `2024-10-15` |
//! | timestamp | text in UTC, `2024-10-15T08:30:00Z`, with six fractional digits where there are any |
//! | text list | JSON array of texts |

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Statement, ToSql};

use crate::batch::ValueType;
use crate::destination::iso::Iso;
use crate::destination::relational::text::{write_decimal, write_list};

/// A column of values of a known type, ready to be bound.
pub(super) enum Column<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Float(&'a Float64Array),
    /// Written as exact text with this scale.
    Decimal(&'a Int64Array, u8),
    Boolean(&'a BooleanArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    TextList(&'a ListArray, &'a StringArray),
}

impl<'a> Column<'a> {
    /// An account field's values; none if the array is not of that type.
    pub(super) fn of_field(value_type: ValueType, values: &'a ArrayRef) -> Option<Self> {
        Some(match value_type {
            ValueType::Text => Self::Text(values.as_string_opt()?),
            ValueType::Integer => Self::Integer(values.as_primitive_opt::<Int64Type>()?),
            ValueType::Float => Self::Float(values.as_primitive_opt::<Float64Type>()?),
            ValueType::Decimal(scale) => Self::Decimal(values.as_primitive_opt::<Int64Type>()?, scale),
            ValueType::Boolean => Self::Boolean(values.as_boolean_opt()?),
            ValueType::Date => Self::Date(values.as_primitive_opt::<Date32Type>()?),
            ValueType::Timestamp => Self::Timestamp(values.as_primitive_opt::<TimestampMicrosecondType>()?),
            ValueType::TextList => {
                let list = values.as_list_opt::<i32>()?;
                Self::TextList(list, list.values().as_string_opt()?)
            }
        })
    }

    /// Usage values: decimals stay unscaled.
    pub(super) fn of_usage(value_type: ValueType, values: &'a ArrayRef) -> Option<Self> {
        match value_type {
            ValueType::Decimal(_) => Self::of_field(ValueType::Integer, values),
            other => Self::of_field(other, values),
        }
    }

    /// Whether the row has a value that can be stored.
    pub(super) fn is_present(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_valid(row),
            Self::Integer(array) | Self::Decimal(array, _) => array.is_valid(row),
            Self::Float(array) => array.is_valid(row) && !array.value(row).is_nan(),
            Self::Boolean(array) => array.is_valid(row),
            Self::Date(array) => array.is_valid(row),
            Self::Timestamp(array) => array.is_valid(row),
            Self::TextList(array, _) => array.is_valid(row),
        }
    }

    /// Binds the row's value, which is present. `text` is room for values that are written out.
    pub(super) fn bind(
        &self,
        statement: &mut Statement<'_>,
        index: usize,
        row: usize,
        text: &mut String,
    ) -> rusqlite::Result<()> {
        text.clear();
        match self {
            Self::Text(array) => return statement.raw_bind_parameter(index, array.value(row)),
            Self::Integer(array) => return statement.raw_bind_parameter(index, array.value(row)),
            Self::Float(array) => return statement.raw_bind_parameter(index, array.value(row)),
            Self::Boolean(array) => return statement.raw_bind_parameter(index, array.value(row)),
            Self::Decimal(array, scale) => write_decimal(text, array.value(row), *scale),
            Self::Date(array) => text.push_str(Iso::date(array.value(row)).as_str()),
            Self::Timestamp(array) => text.push_str(Iso::timestamp(array.value(row)).as_str()),
            Self::TextList(lists, items) => {
                let offsets = lists.value_offsets();
                write_list(text, items, offsets[row] as usize..offsets[row + 1] as usize);
            }
        }
        statement.raw_bind_parameter(index, text.as_str())
    }
}

/// The mark of an erased value in a staged column; no value is a blob.
pub(super) struct Cleared;

impl ToSql for Cleared {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(rusqlite::types::ValueRef::Blob(&[])))
    }
}
