//! `gristmill connection delete`.

use serde_json::json;

use super::show::users_of;
use super::{not_edited, reload, taken};
use crate::cli::{Failed, Shared, UNWELL, load, output};
use crate::config::edit::Edit;
use crate::object::ConnectionKey;

pub(super) fn delete(shared: &Shared, key: &ConnectionKey) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let (using, off): (Vec<_>, Vec<_>) = users_of(shared, key)?.into_iter().partition(|user| user.enabled);
    if !using.is_empty() {
        let names: Vec<String> = using.iter().map(|user| format!("`{}`", user.integration)).collect();
        let message = format!("the connection `{key}` is used by {}", names.join(", "));
        let hint = "give them another connection, or switch them off with `enabled = false`";
        return Err(Failed::new(UNWELL, message).hint(Some(hint.to_owned())));
    }
    let mut edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
    let table = edit.table("connections", key.as_str()).map_err(|error| not_edited(&error))?;
    let file = table.file().to_owned();
    table.delete().map_err(|error| not_edited(&error))?;
    edit.write().map_err(|error| not_edited(&error))?;
    let reloaded = reload(&config)?;
    let off: Vec<String> = off.into_iter().map(|user| user.integration).collect();
    if shared.json {
        let switched_off = off;
        output::print_json(
            &json!({ "connection": key, "file": file, "reloaded": reloaded, "switched_off": switched_off }),
        );
        return Ok(());
    }
    output::print(format!("`{key}` is gone from `{}`{}", file.display(), taken(reloaded)));
    for integration in off {
        output::print(format!("`{integration}` names it, and is switched off"));
    }
    Ok(())
}
