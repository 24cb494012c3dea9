//! A workbook's cell as text.

use std::io::Write;

use calamine::{Data, DataRef, ExcelDateTime};

/// Whole numbers beyond this have neighbours that no 64-bit float tells from them.
const EXACT: f64 = 9_007_199_254_740_992.0;
const MILLISECONDS_A_DAY: f64 = 86_400_000.0;

/// What a cell turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Blank,
    /// Text as somebody wrote it.
    Text,
    /// A number, date or truth value that the workbook itself typed.
    Typed,
    /// A whole number so large that the workbook's reader may have lost its last digits.
    Inexact,
    /// An error; its code is the text.
    Error,
}

/// A cell's value, however it was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Blank,
    Text(&'a str),
    Integer(i64),
    Number(f64),
    Truth(bool),
    Moment(ExcelDateTime),
    /// A date or duration that stands in the file as ISO 8601.
    Iso(&'a str),
    Error(&'a calamine::CellErrorType),
}

impl<'a> From<&'a DataRef<'_>> for Value<'a> {
    fn from(data: &'a DataRef<'_>) -> Self {
        match data {
            DataRef::Empty => Self::Blank,
            DataRef::Int(integer) => Self::Integer(*integer),
            DataRef::Float(number) => Self::Number(*number),
            DataRef::String(text) => Self::Text(text),
            DataRef::SharedString(text) => Self::Text(text),
            DataRef::Bool(truth) => Self::Truth(*truth),
            DataRef::DateTime(moment) => Self::Moment(*moment),
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Self::Iso(text),
            DataRef::Error(error) => Self::Error(error),
        }
    }
}

impl<'a> From<&'a Data> for Value<'a> {
    fn from(data: &'a Data) -> Self {
        match data {
            Data::Empty => Self::Blank,
            Data::Int(integer) => Self::Integer(*integer),
            Data::Float(number) => Self::Number(*number),
            Data::String(text) => Self::Text(text),
            Data::Bool(truth) => Self::Truth(*truth),
            Data::DateTime(moment) => Self::Moment(*moment),
            Data::DateTimeIso(text) | Data::DurationIso(text) => Self::Iso(text),
            Data::Error(error) => Self::Error(error),
        }
    }
}

/// Appends a cell's text in its shortest exact form.
pub(super) fn write(value: Value<'_>, to: &mut Vec<u8>) -> Kind {
    match value {
        Value::Blank | Value::Text("") => Kind::Blank,
        Value::Text(text) => {
            to.extend_from_slice(text.as_bytes());
            Kind::Text
        }
        Value::Integer(integer) => {
            append(to, format_args!("{integer}"));
            Kind::Typed
        }
        Value::Number(number) => write_number(number, to),
        Value::Truth(truth) => {
            to.extend_from_slice(if truth { b"true" } else { b"false" });
            Kind::Typed
        }
        Value::Moment(moment) => write_moment(moment, to),
        Value::Iso(text) => {
            // A midnight that says nothing is left out, as in dates that are numbers.
            to.extend_from_slice(text.strip_suffix("T00:00:00").unwrap_or(text).as_bytes());
            Kind::Typed
        }
        Value::Error(error) => {
            append(to, format_args!("{error}"));
            Kind::Error
        }
    }
}

fn append(to: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = to.write_fmt(arguments);
}

fn write_number(number: f64, to: &mut Vec<u8>) -> Kind {
    let size = number.abs();
    if !number.is_finite() {
        append(to, format_args!("#NUM!"));
        return Kind::Error;
    }
    if size == 0.0 {
        to.push(b'0');
    } else if (1e-7..1e21).contains(&size) {
        append(to, format_args!("{number}"));
    } else {
        append(to, format_args!("{number:e}"));
    }
    if (EXACT..1e21).contains(&size) { Kind::Inexact } else { Kind::Typed }
}

/// Dates as ISO 8601: the date alone at midnight, the time alone in the first day of the calendar, and durations as
/// hours, minutes and seconds.
fn write_moment(moment: ExcelDateTime, to: &mut Vec<u8>) -> Kind {
    let serial = moment.as_f64();
    if moment.is_duration() {
        return write_duration(serial, to);
    }
    if !(0.0..2_958_466.0).contains(&serial) {
        // No calendar has it; the number is what there is.
        return write_number(serial, to);
    }
    let (year, month, day, hour, minute, second, millisecond) = moment.to_ymd_hms_milli();
    let is_time_alone = serial < 1.0 && serial > 0.0;
    if !is_time_alone {
        append(to, format_args!("{year:04}-{month:02}-{day:02}"));
    }
    if is_time_alone || (hour, minute, second, millisecond) != (0, 0, 0, 0) {
        append(to, format_args!("{}{hour:02}:{minute:02}:{second:02}", if is_time_alone { "" } else { "T" }));
        if millisecond != 0 {
            append(to, format_args!(".{millisecond:03}"));
        }
    }
    Kind::Typed
}

fn write_duration(days: f64, to: &mut Vec<u8>) -> Kind {
    let total = (days.abs() * MILLISECONDS_A_DAY).round();
    if !total.is_finite() || total >= EXACT {
        return write_number(days, to);
    }
    let total = total as u64;
    let (hours, minutes, seconds, milliseconds) =
        (total / 3_600_000, total / 60_000 % 60, total / 1000 % 60, total % 1000);
    append(to, format_args!("{}PT", if days < 0.0 && total > 0 { "-" } else { "" }));
    let begun = to.len();
    for (amount, unit) in [(hours, 'H'), (minutes, 'M')] {
        if amount > 0 {
            append(to, format_args!("{amount}{unit}"));
        }
    }
    if milliseconds > 0 {
        append(to, format_args!("{seconds}.{milliseconds:03}S"));
    } else if seconds > 0 || to.len() == begun {
        append(to, format_args!("{seconds}S"));
    }
    Kind::Typed
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, ExcelDateTimeType};

    use super::*;

    fn check(value: Value<'_>, expected: &str, kind: Kind) {
        let mut text = Vec::new();
        assert_eq!(write(value, &mut text), kind, "{value:?}");
        assert_eq!(String::from_utf8(text).unwrap(), expected, "{value:?}");
    }

    #[test]
    fn numbers_are_written_in_their_shortest_exact_form() {
        check(Value::Number(5.0), "5", Kind::Typed);
        check(Value::Number(-0.0), "0", Kind::Typed);
        check(Value::Number(0.1), "0.1", Kind::Typed);
        check(Value::Number(1234.56), "1234.56", Kind::Typed);
        check(Value::Number(0.1 + 0.2), "0.30000000000000004", Kind::Typed);
        check(Value::Number(-0.00001), "-0.00001", Kind::Typed);
        check(Value::Number(123456789012345.0), "123456789012345", Kind::Typed);
        check(Value::Number(1e20), "100000000000000000000", Kind::Inexact);
        check(Value::Number(1e300), "1e300", Kind::Typed);
        check(Value::Number(1e-9), "1e-9", Kind::Typed);
        check(Value::Number(f64::NAN), "#NUM!", Kind::Error);
        check(Value::Integer(-7), "-7", Kind::Typed);
    }

    #[test]
    fn dates_are_iso_8601_in_both_calendars() {
        let date = |serial, is_1904| Value::Moment(ExcelDateTime::new(serial, ExcelDateTimeType::DateTime, is_1904));
        check(date(45_580.0, false), "2024-10-15", Kind::Typed);
        check(date(45_580.572_916_666_664, false), "2024-10-15T13:45:00", Kind::Typed);
        check(date(44_118.0, true), "2024-10-15", Kind::Typed);
        check(date(1.0, false), "1900-01-01", Kind::Typed);
        check(date(61.0, false), "1900-03-01", Kind::Typed);
        check(date(0.5, false), "12:00:00", Kind::Typed);
        check(date(45_580.000_005_787, false), "2024-10-15T00:00:00.500", Kind::Typed);
        check(date(-1.5, false), "-1.5", Kind::Typed);
        check(date(3e9, false), "3000000000", Kind::Typed);
        check(Value::Iso("2024-10-15T00:00:00"), "2024-10-15", Kind::Typed);
        check(Value::Iso("2024-10-15T01:02:03"), "2024-10-15T01:02:03", Kind::Typed);
    }

    #[test]
    fn durations_are_iso_8601() {
        let duration = |days| Value::Moment(ExcelDateTime::new(days, ExcelDateTimeType::TimeDelta, false));
        check(duration(1.5), "PT36H", Kind::Typed);
        check(duration(0.0), "PT0S", Kind::Typed);
        check(duration(-0.25), "-PT6H", Kind::Typed);
        check(duration(90.5 / 86_400.0), "PT1M30.500S", Kind::Typed);
    }

    #[test]
    fn text_is_left_alone_and_errors_are_named() {
        check(Value::Text(" 007 "), " 007 ", Kind::Text);
        check(Value::Text(""), "", Kind::Blank);
        check(Value::Blank, "", Kind::Blank);
        check(Value::Truth(true), "true", Kind::Typed);
        check(Value::Error(&CellErrorType::Ref), "#REF!", Kind::Error);
    }
}
