//! Arrow values as JSON text, straight from their buffers into one growing buffer.
//!
//! | type | JSON |
//! |---|---|
//! | text | string |
//! | integer | number |
//! | decimal | number with exactly as many digits after the point as its scale says |
//! | float | number in its shortest exact form; `"NaN"`, `"Infinity"`, `"-Infinity"` where there is no number |
//! | boolean | `true`, `false` |
//! | date | string, `YYYY-MM-DD` |
//! | timestamp | string, `YYYY-MM-DDThh:mm:ssZ`, with six more digits unless they are zeros |
//! | text list | array of strings |

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use crate::append::append_part;
use crate::batch::ValueType;
use crate::destination::iso::Iso;

/// One column, ready to be written row by row.
pub(super) struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Text(Texts<'a>),
    Integer(&'a [i64]),
    Decimal(&'a [i64], u8),
    /// As a file of columns has them.
    WideDecimal(&'a [i128], u8),
    Float(&'a [f64]),
    Boolean(&'a BooleanBuffer),
    Date(&'a [i32]),
    Timestamp(&'a [i64]),
    TextList {
        offsets: &'a [i32],
        items: Texts<'a>,
    },
}

/// Texts of which it is known whether any holds a character that JSON escapes.
pub(super) struct Texts<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    is_plain: bool,
}

impl<'a> Texts<'a> {
    pub fn of(texts: &'a StringArray) -> Self {
        let offsets: &[i32] = texts.value_offsets();
        let bytes = texts.value_data();
        let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        let used = bytes.get(first as usize..last as usize).unwrap_or(bytes);
        // Without an early exit, so that it runs over many bytes at once.
        let is_plain = !used.iter().fold(false, |found, byte| found | must_be_escaped(*byte));
        Self { offsets, bytes, is_plain }
    }

    /// Where one text stands; Arrow has checked that the offsets lie within the bytes.
    fn place(&self, row: usize) -> (usize, usize) {
        (self.offsets[row] as usize, self.offsets[row + 1] as usize)
    }

    pub fn is_empty(&self, row: usize) -> bool {
        let (start, end) = self.place(row);
        start == end
    }

    #[inline]
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        let (start, end) = self.place(row);
        if self.is_plain {
            out.push(b'"');
            append_part(out, self.bytes, start, end);
            out.push(b'"');
        } else {
            write_text(&self.bytes[start..end], out);
        }
    }
}

const fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl<'a> Column<'a> {
    /// None when the array is not of this type, which the mapper's checks rule out.
    pub fn of(array: &'a ArrayRef, value_type: ValueType) -> Option<Self> {
        let values = match value_type {
            ValueType::Text => Values::Text(Texts::of(array.as_string_opt::<i32>()?)),
            ValueType::Integer => Values::Integer(array.as_primitive_opt::<Int64Type>()?.values()),
            ValueType::Decimal(scale) => Values::Decimal(array.as_primitive_opt::<Int64Type>()?.values(), scale),
            ValueType::Float => Values::Float(array.as_primitive_opt::<Float64Type>()?.values()),
            ValueType::Boolean => Values::Boolean(array.as_boolean_opt()?.values()),
            ValueType::Date => Values::Date(array.as_primitive_opt::<Date32Type>()?.values()),
            ValueType::Timestamp => Values::Timestamp(array.as_primitive_opt::<TimestampMicrosecondType>()?.values()),
            ValueType::TextList => {
                let lists = array.as_list_opt::<i32>()?;
                let items = Texts::of(lists.values().as_string_opt::<i32>()?);
                Values::TextList { offsets: lists.value_offsets(), items }
            }
        };
        Some(Self { nulls: array.nulls(), values })
    }

    /// A column by its Arrow type alone, where decimals are decimals. None for a type that no column of ours has.
    pub fn of_array(array: &'a ArrayRef) -> Option<Self> {
        let value_type = match array.data_type() {
            DataType::Utf8 => ValueType::Text,
            DataType::Int64 => ValueType::Integer,
            DataType::Float64 => ValueType::Float,
            DataType::Boolean => ValueType::Boolean,
            DataType::Date32 => ValueType::Date,
            DataType::Timestamp(..) => ValueType::Timestamp,
            DataType::List(_) => ValueType::TextList,
            DataType::Decimal128(_, scale) => {
                let values = array.as_primitive_opt::<Decimal128Type>()?.values();
                return Some(Self { nulls: array.nulls(), values: Values::WideDecimal(values, scale.cast_unsigned()) });
            }
            _ => return None,
        };
        Self::of(array, value_type)
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the value of a row that has one.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Text(texts) => texts.write(row, out),
            Values::Integer(values) => write_integer(values[row], out),
            Values::Decimal(values, scale) => write_decimal(values[row], *scale, out),
            Values::WideDecimal(values, scale) => {
                let mut digits = itoa::Buffer::new();
                let digits = digits.format(values[row].unsigned_abs()).as_bytes();
                write_digits(values[row] < 0, digits, *scale, out);
            }
            Values::Float(values) => write_float(values[row], out),
            Values::Boolean(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Date(values) => write_iso(Iso::date(values[row]), out),
            Values::Timestamp(values) => write_iso(Iso::timestamp(values[row]), out),
            Values::TextList { offsets, items } => {
                out.push(b'[');
                for item in offsets[row]..offsets[row + 1] {
                    if item > offsets[row] {
                        out.push(b',');
                    }
                    items.write(item as usize, out);
                }
                out.push(b']');
            }
        }
    }
}

/// A JSON string.
pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut written = 0;
    for (place, byte) in text.iter().enumerate() {
        if !must_be_escaped(*byte) {
            continue;
        }
        out.extend_from_slice(&text[written..place]);
        written = place + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
    }
    out.extend_from_slice(&text[written..]);
    out.push(b'"');
}

pub(super) fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_decimal(unscaled: i64, scale: u8, out: &mut Vec<u8>) {
    if scale == 0 {
        return write_integer(unscaled, out);
    }
    let mut digits = itoa::Buffer::new();
    write_digits(unscaled < 0, digits.format(unscaled.unsigned_abs()).as_bytes(), scale, out);
}

/// Digits with a point before the last `scale` of them.
fn write_digits(is_negative: bool, digits: &[u8], scale: u8, out: &mut Vec<u8>) {
    if is_negative {
        out.push(b'-');
    }
    let scale = usize::from(scale);
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => {
            out.extend_from_slice(&digits[..whole]);
            if scale > 0 {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
        Some(_) | None => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
    }
}

/// A date or time as a JSON string.
pub(super) fn write_iso(text: Iso, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{BooleanArray, Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray};
    use arrow_schema::{DataType, Field};

    use super::*;

    fn check(array: ArrayRef, value_type: ValueType, expected: &[&str]) {
        assert_eq!(array.data_type(), &value_type.arrow());
        let column = Column::of(&array, value_type).unwrap();
        for (row, expected) in expected.iter().enumerate() {
            let mut out = Vec::new();
            assert!(!column.is_null(row));
            column.write(row, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(&text, expected);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }

    #[test]
    fn every_type_is_written_as_the_table_says() {
        check(
            Arc::new(StringArray::from(vec!["", "plain ü", "a\"b\\c\n\r\t\u{1}\u{1f}/"])),
            ValueType::Text,
            &[r#""""#, r#""plain ü""#, r#""a\"b\\c\n\r\t\u0001\u001f/""#],
        );
        check(Arc::new(StringArray::from(vec!["only plain"])), ValueType::Text, &[r#""only plain""#]);
        check(
            Arc::new(Int64Array::from(vec![0, i64::MIN, i64::MAX])),
            ValueType::Integer,
            &["0", "-9223372036854775808", "9223372036854775807"],
        );
        check(
            Arc::new(Int64Array::from(vec![0, 5, -5, 100, -12345, i64::MIN])),
            ValueType::Decimal(2),
            &["0.00", "0.05", "-0.05", "1.00", "-123.45", "-92233720368547758.08"],
        );
        check(Arc::new(Int64Array::from(vec![7])), ValueType::Decimal(0), &["7"]);
        check(Arc::new(Int64Array::from(vec![-7])), ValueType::Decimal(18), &["-0.000000000000000007"]);
        check(
            Arc::new(Float64Array::from(vec![0.1, -0.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
            ValueType::Float,
            &["0.1", "-0.0", "1e+300", "\"NaN\"", "\"Infinity\"", "\"-Infinity\""],
        );
        check(Arc::new(BooleanArray::from(vec![true, false])), ValueType::Boolean, &["true", "false"]);
        let mut lists =
            ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new_list_field(DataType::Utf8, false)));
        lists.append_value([Some("a"), Some("b\"")]);
        lists.append_value(Vec::<Option<&str>>::new());
        check(Arc::new(lists.finish()), ValueType::TextList, &[r#"["a","b\""]"#, "[]"]);
    }

    #[test]
    fn a_slice_of_a_longer_column_is_read_at_its_place() {
        let texts = StringArray::from(vec!["zero\"", "one", "two"]);
        let array: ArrayRef = Arc::new(texts.slice(1, 2));
        check(array, ValueType::Text, &[r#""one""#, r#""two""#]);
    }

    #[test]
    fn dates_and_times_are_strings() {
        check(Arc::new(Date32Array::from(vec![20_000])), ValueType::Date, &["\"2024-10-04\""]);
        let times = TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC");
        check(Arc::new(times), ValueType::Timestamp, &["\"1970-01-01T00:00:00Z\""]);
    }
}
