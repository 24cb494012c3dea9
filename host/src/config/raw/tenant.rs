//! `[tenants.NAME]`.

use super::tables;

tables! {
    /// What the files of one tenant may take together, so that no tenant's mapper, however slow, holds up the files of
    /// another. A tenant without such a table has the defaults. The limits of `[mappers.NAME.limits]` hold for each file
    /// beside these: a file that exceeds one of those fails; a file that meets one of these waits, or goes on behind others.
    struct RawTenant {
        /// How many of its files are worked on at once, of which new arrivals keep half while a backfill runs: 1 to 256. The
        /// default is half of `daemon.files_at_once`, rounded up, and all of it where there is no other tenant.
        ///
        /// ```toml
        /// files_at_once = 2
        /// ```
        files_at_once: i64,
        /// How much memory the mappers of its files in work may have, the limits of all instances added up: one for each
        /// file and transform of a custom mapper. A file that does not fit waits; one that is alone in work always fits.
        ///
        /// ```toml
        /// mapper_memory = "1GiB"
        /// ```
        mapper_memory: String,
        /// How much of the machine's processors its files may take beyond what their size warrants (20 ms a file and
        /// 100 ms a MiB) before they get only what others leave: 0 to 1. On an idle machine that is everything.
        ///
        /// ```toml
        /// processor_share = 0.05
        /// ```
        processor_share: f64,
    }
}
