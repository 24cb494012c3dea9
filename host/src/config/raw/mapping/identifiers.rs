//! Which account a row belongs to.

use serde::Serialize;

use super::super::tables;
use super::RawWordOr;

tables! {
    /// Which account a row belongs to: strategies, up to eight, tried in order. One that is blank in a row says nothing of
    /// it; a row in which all are is rejected (`matching.on_blank`), unless all its mapped cells are blank.
    #[derive(Serialize)]
    struct RawIdentifier {
        /// The name of the column, exactly as it stands in the header. Required, unless `index` or `columns` stands here.
        ///
        /// ```toml
        /// column = "Account ID"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["AccountId", "Id"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 1
        /// ```
        index: u32,
        /// `crm_id`, `domain`, `name`, `id` (the destination's own), or `field:` and the key of an account field.
        /// Required.
        ///
        /// ```toml
        /// match = "crm_id"
        /// ```
        r#match: String,
        /// What is done with the value, in order, before it is compared: `trim`, `casefold`, `domain` (without scheme,
        /// `www.`, port and path), `email_domain`, `sfdc18` (the 18-character form of a Salesforce id),
        /// `strip_leading_zeros`, or a pattern and what takes the place of its matches.
        ///
        /// ```toml
        /// normalize = ["trim", "sfdc18"]
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// normalize = [{ regex = "^ACC-", replace = "" }, "strip_leading_zeros"]
        /// ```
        normalize: Vec<RawWordOr<RawRegexReplacement>>,
        /// Up to six columns that say it together; all must be filled.
        ///
        /// ```text
        /// columns = [{ column = "Region", match = "field:region" }, { column = "Code", match = "field:code" }]
        /// ```
        columns: Vec<RawIdentifierPart>,
        /// Whether a table may lack the columns. The strategy is then left out.
        ///
        /// ```toml
        /// optional = false
        /// ```
        optional: bool,
    }

    /// One of several columns that say together which account a row belongs to.
    #[derive(Serialize)]
    struct RawIdentifierPart {
        /// The name of the column. Required, unless `index` stands here.
        ///
        /// ```toml
        /// column = "Region"
        /// ```
        column: String,
        /// Other names that the column has in some files.
        ///
        /// ```toml
        /// aliases = ["Area"]
        /// ```
        aliases: Vec<String>,
        /// The number of the column, from 1, in the place of its name.
        ///
        /// ```text
        /// index = 1
        /// ```
        index: u32,
        /// As of an identifier of one column. Required.
        ///
        /// ```toml
        /// match = "field:region"
        /// ```
        r#match: String,
        /// As of an identifier of one column.
        ///
        /// ```toml
        /// normalize = ["casefold"]
        /// ```
        normalize: Vec<RawWordOr<RawRegexReplacement>>,
    }

    /// A pattern and what takes the place of its matches.
    #[derive(Serialize)]
    struct RawRegexReplacement {
        /// The pattern. Required.
        ///
        /// ```toml
        /// regex = "^ACC-"
        /// ```
        regex: String,
        /// What takes its place; `$1` is a group, `$$` a dollar sign. Required.
        ///
        /// ```toml
        /// replace = ""
        /// ```
        replace: String,
    }
}
