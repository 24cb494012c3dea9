//! How an integration's files are read: `csv`, `excel` and `limits` of an integration.

use super::tables;
use crate::decode::{ErrorCells, Header, HiddenSheets, Ragged, Sheets};

tables! {
    /// How CSV files are read. `gristmill peek FILE` shows what comes of it.
    struct RawCsv {
        /// The character between cells. A tab is `"\t"`.
        ///
        /// ```toml
        /// delimiter = ","
        /// ```
        delimiter: String,
        /// The character round cells; doubled inside, it stands for itself. With `""` there is none.
        ///
        /// ```toml
        /// quote = '"'
        /// ```
        quote: String,
        /// The character before a quote, inside quotes, that stands for itself. The default is none.
        ///
        /// ```text
        /// escape = '\'
        /// ```
        escape: String,
        /// The character at the start of a line that is passed over. The default is none.
        ///
        /// ```text
        /// comment = "#"
        /// ```
        comment: String,
        /// `row`: the first row names the columns. `none`: they are called `column_1`, `column_2` and so on.
        ///
        /// ```toml
        /// header = "row"
        /// ```
        header: Header,
        /// How many lines before the header are passed over.
        ///
        /// ```toml
        /// skip_rows = 0
        /// ```
        skip_rows: i64,
        /// How many rows after the header are passed over: units, say.
        ///
        /// ```toml
        /// skip_after_header = 0
        /// ```
        skip_after_header: i64,
        /// How many rows at the end are passed over: totals, say.
        ///
        /// ```toml
        /// footer_rows = 0
        /// ```
        footer_rows: i64,
        /// The text encoding, where no byte order mark names another: `utf-8`, `utf-16le`, `windows-1252`, `iso-8859-2`,
        /// `shift_jis` and so on.
        ///
        /// ```toml
        /// encoding = "utf-8"
        /// ```
        encoding: String,
        /// What happens to a row with more or fewer cells than the header: `reject` it, `pad` it (missing cells are blank,
        /// surplus ones left out), or `fail` the file.
        ///
        /// ```toml
        /// ragged = "reject"
        /// ```
        ragged: Ragged,
    }

    /// How workbooks (`.xlsx` and `.xls`) are read.
    struct RawExcel {
        /// Which worksheets are read: the `first`, `all`, or the one of a name or at a place, from 1.
        ///
        /// ```toml
        /// sheets = "first"
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// sheets = "all"
        /// sheets = { name = "Export" }
        /// sheets = { index = 2 }
        /// ```
        sheets: Sheets,
        /// `skip` or `take` hidden worksheets that are not named.
        ///
        /// ```toml
        /// hidden = "skip"
        /// ```
        hidden: HiddenSheets,
        /// `row`: the first row names the columns. `none`: they are called `column_1`, `column_2` and so on.
        ///
        /// ```toml
        /// header = "row"
        /// ```
        header: Header,
        /// The row, from 1, where the table starts. The default is the first that is not blank.
        ///
        /// ```text
        /// first_row = 4
        /// ```
        first_row: i64,
        /// A cell that holds an error such as `#REF!` in a column that is read is a reason to `reject` its row, or is
        /// taken as `blank`.
        ///
        /// ```toml
        /// error_cells = "reject"
        /// ```
        error_cells: ErrorCells,
    }

    /// The most that is taken of a file. Beyond it the file is failed.
    struct RawDecodeLimits {
        /// Columns of a table.
        ///
        /// ```toml
        /// columns = 16384
        /// ```
        columns: i64,
        /// Rows of a table.
        ///
        /// ```toml
        /// rows = 1000000000
        /// ```
        rows: i64,
        /// The text of a cell.
        ///
        /// ```toml
        /// cell_size = "1MiB"
        /// ```
        cell_size: String,
        /// The text of a row.
        ///
        /// ```toml
        /// row_size = "8MiB"
        /// ```
        row_size: String,
        /// The text of the header.
        ///
        /// ```toml
        /// header_size = "1MiB"
        /// ```
        header_size: String,
        /// Cells of a workbook that are not blank.
        ///
        /// ```toml
        /// workbook_cells = 200000000
        /// ```
        workbook_cells: i64,
        /// What a workbook says that it unpacks to.
        ///
        /// ```toml
        /// unpacked_size = "2GiB"
        /// ```
        unpacked_size: String,
        /// Memory of the process that reads a workbook.
        ///
        /// ```toml
        /// workbook_memory = "512MiB"
        /// ```
        workbook_memory: String,
        /// Its processor time, to which `workbook_cpu_per_mib` adds.
        ///
        /// ```toml
        /// workbook_cpu = "60s"
        /// ```
        workbook_cpu: String,
        /// Its processor time for each MiB of the file.
        ///
        /// ```toml
        /// workbook_cpu_per_mib = "2s"
        /// ```
        workbook_cpu_per_mib: String,
    }
}
