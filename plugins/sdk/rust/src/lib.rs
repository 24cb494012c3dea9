//! Write Gristmill mappers in Rust: rows in, typed records out.
//!
//! A mapper says what the rows of a file mean. It gets a table's header and then its rows, and makes account records
//! ([`FieldMapper`]), usage records ([`UsageMapper`]), or both. It has no files, network, clock or credentials; what day it is
//! stands in [`Source`].
//!
//! ```
//! use gristmill_mapper::{Accounts, Fault, Field, FieldKey, FieldMapper, FieldTable, Integer, Match, Reject, Row, export};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The plan that counts as the highest tier.
//!     #[serde(default = "enterprise")]
//!     top: String,
//! }
//!
//! fn enterprise() -> String {
//!     "Enterprise".to_owned()
//! }
//!
//! struct Tiers {
//!     settings: Settings,
//!     tier: FieldKey<Integer>,
//! }
//!
//! impl FieldMapper for Tiers {
//!     type Settings = Settings;
//!
//!     fn open(table: &mut FieldTable<'_>, settings: Settings) -> Result<Self, Fault> {
//!         table.column("Account ID")?;
//!         table.column("Plan")?;
//!         table.identify([Match::CrmId]);
//!         Ok(Self { settings, tier: table.field(Field::integer("tier")) })
//!     }
//!
//!     fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject> {
//!         let plan = row["Plan"].required()?;
//!         let tier: i64 = match plan.text() {
//!             top if top == self.settings.top => 3,
//!             "Growth" => 2,
//!             "Starter" => 1,
//!             other => return Err(plan.reject("unknown_plan", format!("`{other}` is not a plan"))),
//!         };
//!         out.account(&row["Account ID"]).set(self.tier, tier);
//!         Ok(())
//!     }
//! }
//!
//! export!(fields: Tiers);
//!
//! // In a test, without a host:
//! use gristmill_mapper::testing::{Sample, Value};
//!
//! let sample = Sample::new(["Account ID", "Plan"]).row(["0014", "Growth"]).row(["0015", "Gold"]);
//! let mapped = sample.fields::<Tiers>().unwrap();
//! assert_eq!(mapped.records[0].fields["tier"], Value::Integer(2));
//! assert_eq!(mapped.issues[0].code, "unknown_plan");
//! ```
//!
//! # Rows and columns
//!
//! The host hands over columns, in Arrow's layout, and takes columns back; this crate turns them into rows and records and
//! back, without an allocation for a cell. A mapper asks for the columns it wants while a table is opened; the others never
//! cross. A column is found by its name (`row["Plan"]`) or, somewhat faster, by what [`Table::column`] returned.
//!
//! # What goes wrong
//!
//! A [`Reject`] refuses one row, and names the cell to blame for the person who owns the data. A [`Fault`] fails the whole
//! file. A panic does so as well, with its message in the daemon's log: it is for mistakes of the mapper.
//!
//! # The component
//!
//! `Cargo.toml` asks for the features `fields`, `usage` or both, as [`export!`] does. `gristmill mapper build` compiles the
//! library for `wasm32-unknown-unknown` and makes a component of it; in a native build `export!` does nothing.

mod account;
mod cell;
mod columns;
#[cfg(all(target_family = "wasm", any(feature = "fields", feature = "usage")))]
#[doc(hidden)]
#[allow(unsafe_code, missing_docs, reason = "generated")]
pub mod component;
mod date;
mod issue;
mod log;
mod number;
mod row;
mod table;
pub mod testing;
mod usage;

pub use account::{Account, Accounts, Field, FieldKey, FieldTable, Semantic, WriteMode};
pub use cell::Cell;
pub use columns::{Boolean, Day, Decimal, Float, Identify, Integer, Key, Kind, Moment, Text, TextList, ValueType};
pub use date::Date;
pub use issue::{Fault, Reject};
pub use log::{Level, log};
pub use number::Number;
pub use row::Row;
pub use table::{Column, Match, Source, Table};
pub use usage::{Aggregate, Entry, Period, Repeat, Series, SeriesKey, Usage, UsageTable, UserKey};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Makes account records of the rows of a table.
///
/// There is one value for each table: what has to be known from one row to the next stands in its fields.
pub trait FieldMapper: Sized + 'static {
    /// The settings, as the configuration's `settings` has them; [`NoSettings`] for a mapper without any.
    type Settings: DeserializeOwned;

    /// What is wrong with settings that could be decoded. Asked without any file.
    fn check(settings: &Self::Settings) -> Vec<Fault> {
        let _ = settings;
        Vec::new()
    }

    /// Begins a table: asks for columns, says how accounts are identified, announces the fields.
    ///
    /// # Errors
    /// What is wrong with the whole file.
    fn open(table: &mut FieldTable<'_>, settings: Self::Settings) -> Result<Self, Fault>;

    /// Maps one row. Rows come in their order; a row may bring no record, one or several.
    ///
    /// # Errors
    /// Why the row is refused. No record of a refused row counts, whenever it was made.
    fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject>;

    /// Ends the table; records that were held back are made here, with [`Accounts::account_of`].
    ///
    /// # Errors
    /// What is wrong with the whole file.
    fn finish(&mut self, out: &mut Accounts) -> Result<(), Fault> {
        let _ = out;
        Ok(())
    }
}

/// Makes usage records of the rows of a table.
///
/// There is one value for each table: what has to be known from one row to the next stands in its fields.
pub trait UsageMapper: Sized + 'static {
    /// The settings, as the configuration's `settings` has them; [`NoSettings`] for a mapper without any.
    type Settings: DeserializeOwned;

    /// What is wrong with settings that could be decoded. Asked without any file.
    fn check(settings: &Self::Settings) -> Vec<Fault> {
        let _ = settings;
        Vec::new()
    }

    /// Begins a table: asks for columns, says how accounts and users are identified, announces the series that are known.
    ///
    /// # Errors
    /// What is wrong with the whole file.
    fn open(table: &mut UsageTable<'_>, settings: Self::Settings) -> Result<Self, Fault>;

    /// Maps one row. Rows come in their order; a row may bring no entry, one or several.
    ///
    /// # Errors
    /// Why the row is refused. No record of a refused row counts, whenever it was made.
    fn map(&mut self, row: &Row<'_>, out: &mut Usage) -> Result<(), Reject>;

    /// Ends the table; records that were held back are made here, with [`Usage::usage_of`].
    ///
    /// # Errors
    /// What is wrong with the whole file.
    fn finish(&mut self, out: &mut Usage) -> Result<(), Fault> {
        let _ = out;
        Ok(())
    }
}

/// The settings of a mapper without any: an empty table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Settings as the mapper has them.
fn settings<S: DeserializeOwned>(text: &str) -> Result<S, Fault> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| Fault::new("bad_setting", error.to_string()))
}

/// Makes a mapper the component's: `export!(fields: Accounts)`, `export!(usage: Meters)` or
/// `export!(fields: Accounts, usage: Meters)`, once in a library. The features of this crate have to be the same.
#[macro_export]
macro_rules! export {
    (fields: $fields:ty $(,)?) => {
        $crate::__export!(field_mapping: $fields);
    };
    (usage: $usage:ty $(,)?) => {
        $crate::__export!(product_usage: $usage);
    };
    (fields: $fields:ty, usage: $usage:ty $(,)?) => {
        $crate::__export!(field_mapping: $fields, product_usage: $usage);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($($interface:ident: $mapper:ty),+) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Exported;
            $(
                impl $crate::component::$interface::Guest for Exported {
                    fn check(settings: ::std::string::String) -> ::std::vec::Vec<$crate::component::Fault> {
                        $crate::component::$interface::check::<$mapper>(&settings)
                    }

                    fn open(
                        source: $crate::component::Source,
                        header: ::std::vec::Vec<::std::string::String>,
                        settings: ::std::string::String,
                    ) -> ::std::result::Result<$crate::component::$interface::Layout, $crate::component::Fault> {
                        $crate::component::$interface::open::<$mapper>(source, header, &settings)
                    }

                    fn map_batch(
                        batch: $crate::component::Batch,
                    ) -> ::std::result::Result<$crate::component::$interface::Returned, $crate::component::Fault> {
                        $crate::component::$interface::map_batch(batch)
                    }

                    fn finish(
                    ) -> ::std::result::Result<$crate::component::$interface::Returned, $crate::component::Fault> {
                        $crate::component::$interface::finish()
                    }
                }
            )+
            $crate::component::bindings::export!(Exported with_types_in $crate::component::bindings);
        };
    };
}
