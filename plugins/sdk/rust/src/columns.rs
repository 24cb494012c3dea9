//! Columns in Arrow's physical layout, as they are built row by row.
//!
//! Bitmaps keep row i in bit `i % 8` of byte `i / 8`.

use std::marker::PhantomData;

use crate::cell::{Cell, trimmed};
use crate::date::Date;

/// Strings laid end to end: one offset more than there are strings.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) offsets: Vec<i32>,
    pub(crate) bytes: Vec<u8>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Texts {
    fn like(other: &Self) -> Self {
        let mut offsets = Vec::with_capacity(other.offsets.len());
        offsets.push(0);
        Self { offsets, bytes: Vec::with_capacity(other.bytes.len()) }
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        // The host hands over a few mebibytes at most, and takes back a few times that.
        self.offsets.push(self.bytes.len() as i32);
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn pop(&mut self) {
        if self.len() > 0 {
            self.offsets.pop();
            self.bytes.truncate(self.offsets.last().map_or(0, |end| *end as usize));
        }
    }

    pub(crate) fn get(&self, place: usize) -> &str {
        let (start, end) = (self.offsets[place] as usize, self.offsets[place + 1] as usize);
        // Made of whole strings.
        std::str::from_utf8(&self.bytes[start..end]).unwrap_or_default()
    }
}

/// Which places of a column have a value. Costs next to nothing until the first has none.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    length: usize,
    bits: Option<Vec<u8>>,
}

impl Validity {
    #[inline]
    pub(crate) fn push(&mut self, is_valid: bool) {
        if self.bits.is_some() || !is_valid {
            self.push_bit(is_valid);
        }
        self.length += 1;
    }

    fn push_bit(&mut self, is_valid: bool) {
        let length = self.length;
        let bits = self.bits.get_or_insert_with(|| vec![0xff; length.div_ceil(8)]);
        if length.is_multiple_of(8) {
            bits.push(0);
        }
        if let Some(last) = bits.last_mut() {
            let bit = 1 << (length % 8);
            *last = if is_valid { *last | bit } else { *last & !bit };
        }
    }

    fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
        if let (Some(bits), true) = (&mut self.bits, self.length.is_multiple_of(8)) {
            bits.pop();
        }
    }
}

/// A set bit for some places of a column.
#[derive(Debug, Default)]
pub(crate) struct Marks(Option<Vec<u8>>);

impl Marks {
    pub(crate) fn mark(&mut self, place: usize) {
        let bits = self.0.get_or_insert_default();
        if bits.len() <= place / 8 {
            bits.resize(place / 8 + 1, 0);
        }
        bits[place / 8] |= 1 << (place % 8);
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bits = self.0.take()?;
        bits.resize(length.div_ceil(8), 0);
        Some(bits)
    }
}

/// The type of a field or of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64 bits.
    Float,
    /// Unscaled 64 bits with so many digits after the point, 0 to 18.
    Decimal(u8),
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// A list of texts.
    TextList,
}

/// The values of a column; a place without a value has any.
#[derive(Debug)]
pub enum Values {
    #[doc(hidden)]
    Text(TextsOf),
    #[doc(hidden)]
    Integer(Vec<i64>),
    #[doc(hidden)]
    Float(Vec<f64>),
    #[doc(hidden)]
    Boolean(Bits),
    #[doc(hidden)]
    Date(Vec<i32>),
    #[doc(hidden)]
    TextList(Lists),
}

/// Strings of a column.
#[derive(Debug, Default)]
pub struct TextsOf(pub(crate) Texts);

/// A bitmap of values.
#[derive(Debug, Default)]
pub struct Bits {
    pub(crate) length: usize,
    pub(crate) bits: Vec<u8>,
}

/// Lists of strings.
#[derive(Debug)]
pub struct Lists {
    pub(crate) offsets: Vec<i32>,
    pub(crate) items: Texts,
}

impl Values {
    fn of(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Text => Self::Text(TextsOf::default()),
            ValueType::Integer | ValueType::Decimal(_) | ValueType::Timestamp => Self::Integer(Vec::new()),
            ValueType::Float => Self::Float(Vec::new()),
            ValueType::Boolean => Self::Boolean(Bits::default()),
            ValueType::Date => Self::Date(Vec::new()),
            ValueType::TextList => Self::TextList(Lists { offsets: vec![0], items: Texts::default() }),
        }
    }

    /// An empty one, with room for as much.
    fn like(other: &Self) -> Self {
        match other {
            Self::Text(texts) => Self::Text(TextsOf(Texts::like(&texts.0))),
            Self::Integer(values) => Self::Integer(Vec::with_capacity(values.len())),
            Self::Float(values) => Self::Float(Vec::with_capacity(values.len())),
            Self::Boolean(bits) => Self::Boolean(Bits { length: 0, bits: Vec::with_capacity(bits.bits.len()) }),
            Self::Date(values) => Self::Date(Vec::with_capacity(values.len())),
            Self::TextList(lists) => {
                let mut offsets = Vec::with_capacity(lists.offsets.len());
                offsets.push(0);
                Self::TextList(Lists { offsets, items: Texts::like(&lists.items) })
            }
        }
    }

    fn push_nothing(&mut self) {
        match self {
            Self::Text(texts) => texts.0.push(""),
            Self::Integer(values) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Boolean(bits) => bits.push(false),
            Self::Date(values) => values.push(0),
            Self::TextList(lists) => lists.offsets.push(lists.items.len() as i32),
        }
    }

    fn pop(&mut self) {
        match self {
            Self::Text(texts) => texts.0.pop(),
            Self::Integer(values) => drop(values.pop()),
            Self::Float(values) => drop(values.pop()),
            Self::Boolean(bits) => bits.length -= 1,
            Self::Date(values) => drop(values.pop()),
            Self::TextList(lists) => {
                lists.offsets.pop();
                let kept = lists.offsets.last().map_or(0, |end| *end as usize);
                while lists.items.len() > kept {
                    lists.items.pop();
                }
            }
        }
    }
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.length.is_multiple_of(8) {
            self.bits.truncate(self.length / 8);
            self.bits.push(0);
        }
        let (byte, mask) = (self.length / 8, 1 << (self.length % 8));
        self.bits[byte] = if bit { self.bits[byte] | mask } else { self.bits[byte] & !mask };
        self.length += 1;
    }
}

/// A column on its way.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) values: Values,
    pub(crate) validity: Validity,
}

/// A column that is whole.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) values: Values,
    pub(crate) validity: Option<Vec<u8>>,
}

impl Builder {
    pub(crate) fn of(value_type: ValueType) -> Self {
        Self { values: Values::of(value_type), validity: Validity::default() }
    }

    /// Puts a value at a place; those before it that have none yet stay without.
    #[inline]
    pub(crate) fn put<K: Kind>(&mut self, place: usize, value: Option<K::Value<'_>>) {
        if self.validity.length != place {
            self.make_room(place);
        }
        match value {
            Some(value) => {
                K::push(&mut self.values, value);
                self.validity.push(true);
            }
            None => self.push_nothing(),
        }
    }

    /// Fills up to a place, or takes back what is there.
    fn make_room(&mut self, place: usize) {
        while self.validity.length < place {
            self.push_nothing();
        }
        while self.validity.length > place {
            self.values.pop();
            self.validity.pop();
        }
    }

    fn push_nothing(&mut self) {
        self.values.push_nothing();
        self.validity.push(false);
    }

    /// The whole column of `length` places; an empty one with the same room is left.
    pub(crate) fn take(&mut self, length: usize) -> Column {
        self.make_room(length);
        let empty = Values::like(&self.values);
        let validity = std::mem::take(&mut self.validity);
        Column { values: std::mem::replace(&mut self.values, empty), validity: validity.bits }
    }
}

/// Strings some of which are missing, on their way.
#[derive(Debug, Default)]
pub(crate) struct TextBuilder {
    pub(crate) texts: Texts,
    validity: Validity,
}

/// Strings some of which are missing.
#[derive(Debug)]
pub(crate) struct TextColumn {
    pub(crate) texts: Texts,
    pub(crate) validity: Option<Vec<u8>>,
}

impl TextBuilder {
    #[inline]
    pub(crate) fn push(&mut self, text: Option<&str>) {
        self.texts.push(text.unwrap_or_default());
        self.validity.push(text.is_some());
    }

    /// The last one once more.
    pub(crate) fn repeat(&mut self) {
        let last = self.texts.len().checked_sub(1).map(|last| self.texts.get(last).to_owned());
        let is_missing = self.validity.bits.as_ref().zip(self.validity.length.checked_sub(1));
        let is_missing = is_missing.is_some_and(|(bits, last)| bits[last / 8] >> (last % 8) & 1 == 0);
        self.push(last.as_deref().filter(|_| !is_missing));
    }

    /// Puts another text in the place of the last.
    pub(crate) fn replace(&mut self, text: Option<&str>) {
        self.texts.pop();
        self.validity.pop();
        self.push(text);
    }

    pub(crate) fn take(&mut self) -> TextColumn {
        let empty = Texts::like(&self.texts);
        let validity = std::mem::take(&mut self.validity);
        TextColumn { texts: std::mem::replace(&mut self.texts, empty), validity: validity.bits }
    }
}

/// The types that values have. A field or a series of one takes values of its own Rust type.
pub trait Kind: sealed::Sealed {
    /// The Rust type.
    type Value<'a>;

    #[doc(hidden)]
    fn push(values: &mut Values, value: Self::Value<'_>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $value:ty, $values:pat => $push:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Kind for $name {
            type Value<'a> = $value;

            #[inline]
            fn push(values: &mut Values, value: $value) {
                // A handle is made with its column, so the types are the same.
                if let $values = values {
                    ($push)(value);
                }
            }
        }
    };
}

kind!(#[doc = "Values are `i64`."] Integer, i64, Values::Integer(values) => |value| values.push(value));
kind!(#[doc = "Values are `i64` without the point: 12.50 of a decimal with two digits after it is 1250."] Decimal, i64,
    Values::Integer(values) => |value| values.push(value));
kind!(#[doc = "Values are `f64`."] Float, f64, Values::Float(values) => |value| values.push(value));
kind!(#[doc = "Values are `bool`."] Boolean, bool, Values::Boolean(bits) => |value| bits.push(value));
kind!(#[doc = "Values are [`Date`]."] Day, Date, Values::Date(values) => |value: Date| values.push(value.days()));
kind!(#[doc = "Values are `i64`: microseconds since 1970-01-01T00:00:00Z."] Moment, i64,
    Values::Integer(values) => |value| values.push(value));

/// Values are `&str`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text;

impl sealed::Sealed for Text {}

impl Kind for Text {
    type Value<'a> = &'a str;

    #[inline]
    fn push(values: &mut Values, value: &str) {
        if let Values::Text(texts) = values {
            texts.0.push(value);
        }
    }
}

/// Values are `&[&str]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextList;

impl sealed::Sealed for TextList {}

impl Kind for TextList {
    type Value<'a> = &'a [&'a str];

    fn push(values: &mut Values, value: &[&str]) {
        if let Values::TextList(lists) = values {
            value.iter().for_each(|item| lists.items.push(item));
            lists.offsets.push(lists.items.len() as i32);
        }
    }
}

/// A place among the columns of one layout, with the type of its values.
#[derive(Debug)]
pub(crate) struct Place<K> {
    pub(crate) index: u32,
    kind: PhantomData<fn() -> K>,
}

impl<K> Place<K> {
    pub(crate) fn at(index: usize) -> Self {
        Self { index: index as u32, kind: PhantomData }
    }
}

impl<K> Clone for Place<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Place<K> {}

/// One value of an identifier; blank says nothing.
pub trait Key {
    /// The text.
    fn text(&self) -> Option<&str>;
}

impl Key for str {
    fn text(&self) -> Option<&str> {
        Some(trimmed(self)).filter(|text| !text.is_empty())
    }
}

impl Key for String {
    fn text(&self) -> Option<&str> {
        self.as_str().text()
    }
}

impl Key for Cell<'_> {
    fn text(&self) -> Option<&str> {
        Key::text(Cell::text(self))
    }
}

impl<K: Key + ?Sized> Key for &K {
    fn text(&self) -> Option<&str> {
        (**self).text()
    }
}

impl<K: Key> Key for Option<K> {
    fn text(&self) -> Option<&str> {
        self.as_ref().and_then(Key::text)
    }
}

/// What names an account: one value for each key of each strategy, in the order in which they were announced. A text or a
/// cell where there is one, an array or a slice of them where there are several.
pub trait Identify {
    #[doc(hidden)]
    fn each(&self, push: impl FnMut(Option<&str>));
}

macro_rules! one_key {
    ($($key:ty),+) => {
        $(impl Identify for $key {
            #[inline]
            fn each(&self, mut push: impl FnMut(Option<&str>)) {
                push(Key::text(self));
            }
        })+
    };
}

one_key!(&str, &String, &Cell<'_>, Option<&str>);

impl<K: Key, const COUNT: usize> Identify for [K; COUNT] {
    fn each(&self, mut push: impl FnMut(Option<&str>)) {
        self.iter().for_each(|key| push(key.text()));
    }
}

impl<K: Key> Identify for &[K] {
    fn each(&self, mut push: impl FnMut(Option<&str>)) {
        self.iter().for_each(|key| push(key.text()));
    }
}

/// Puts what names an account into the columns.
///
/// # Panics
/// When there are more or fewer values than keys: a mistake of the mapper.
#[inline]
pub(crate) fn identify(columns: &mut [TextBuilder], keys: &impl Identify) {
    let expected = columns.len();
    let mut place = 0;
    keys.each(|text| {
        if let Some(column) = columns.get_mut(place) {
            column.push(text);
        }
        place += 1;
    });
    assert_eq!(place, expected, "there is one value for each key of the strategies that `open` named");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_be_missing_or_put_twice() {
        let mut column = Builder::of(ValueType::Integer);
        column.put::<Integer>(1, Some(10));
        column.put::<Integer>(1, Some(11));
        column.put::<Integer>(9, Some(90));
        let column = column.take(11);
        let Values::Integer(values) = column.values else { panic!("integers") };
        assert_eq!(values, [0, 11, 0, 0, 0, 0, 0, 0, 0, 90, 0]);
        assert_eq!(column.validity.unwrap(), [0b0000_0010, 0b0000_0010]);
    }

    #[test]
    fn a_column_in_which_nothing_is_missing_has_no_bitmap() {
        let mut column = Builder::of(ValueType::Boolean);
        (0..9).for_each(|place| column.put::<Boolean>(place, Some(place % 2 == 0)));
        column.put::<Boolean>(8, Some(false));
        let whole = column.take(9);
        let Values::Boolean(bits) = whole.values else { panic!("bits") };
        assert_eq!((bits.bits.as_slice(), whole.validity), (&[0b0101_0101, 0][..], None));
        assert_eq!(column.take(0).validity, None);
    }

    #[test]
    fn lists_and_texts_are_taken_back_whole() {
        let mut column = Builder::of(ValueType::TextList);
        column.put::<TextList>(0, Some(&["a", "b"]));
        column.put::<TextList>(0, Some(&["c"]));
        let Values::TextList(lists) = column.take(1).values else { panic!("lists") };
        assert_eq!((lists.offsets.as_slice(), lists.items.get(0), lists.items.len()), (&[0, 1][..], "c", 1));
        let mut texts = TextBuilder::default();
        texts.push(Some("x"));
        texts.push(None);
        texts.repeat();
        texts.replace(Some("y"));
        texts.repeat();
        let column = texts.take();
        assert_eq!((column.texts.bytes.as_slice(), column.validity.unwrap()), (&b"xyy"[..], vec![0b1111_1101]));
    }
}
