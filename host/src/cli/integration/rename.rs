//! `gristmill integration rename`.

use super::{complaint, reload, settle};
use crate::cli::{Failed, Shared, load, output};
use crate::config::edit::Edit;
use crate::object::IntegrationName;

pub(super) fn rename(shared: &Shared, from: &IntegrationName, to: &IntegrationName) -> Result<(), Failed> {
    let runtime_directory = load(&shared.config)?.config.daemon.runtime_dir;
    // What was renamed by hand and not begun yet comes first: the file has place for one former name.
    settle(shared, from)?;
    let by_hand = || format!("by hand: name the table `[integrations.{to}]` and add `renamed_from = \"{from}\"` to it");
    let edited = Edit::open(&shared.config).and_then(|mut edit| {
        let mut table = edit.table("integrations", from.as_str())?;
        table.rename(to.as_str())?;
        table.set("renamed_from", from.as_str())?;
        let file = table.file().to_owned();
        edit.write().map(|_| file)
    });
    let file = edited.map_err(|error| complaint(&error, by_hand))?;
    reload(&runtime_directory)?;
    let settled = settle(shared, to).map_err(|failed| {
        failed.and("the table has its name already; the rest is finished by itself when this is mended")
    })?;
    match shared.json {
        true => output::print_json(&settled),
        false => output::print(format!("`{from}` is `{to}` now, in `{}` and in all that it has taken", file.display())),
    }
    Ok(())
}
