//! `[account_fields.NAME]`.

use super::tables;
use crate::account_fields::AccountFieldType;

tables! {
    /// An account field, declared: every mapping that fills it must be of its type, and none has to be. Fields that are
    /// not declared are made by the first file that brings them, with the type of its mapping, unless an integration says
    /// `undeclared_fields = "refuse"`. Whatever stands here, a field that is stored keeps its type.
    struct RawAccountField {
        /// What it holds. Required. `text`, `long_text`, `integer`, `float`, `percent`, `currency`, `boolean`, `date`,
        /// `datetime`, `picklist`, `multi_picklist`, `text_list`, `url`, `email` or `lookup_user`.
        ///
        /// ```toml
        /// type = "currency"
        /// ```
        r#type: AccountFieldType,
        /// `currency`: the currency, as three capital letters. Mappings that name none have this one.
        ///
        /// ```toml
        /// unit = "EUR"
        /// ```
        unit: String,
        /// Its key. The default is the name of this table.
        ///
        /// ```toml
        /// field = "arr"
        /// ```
        field: String,
        /// The only tenant whose field it is. The default is every tenant's.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
    }
}
