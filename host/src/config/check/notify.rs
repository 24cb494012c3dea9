//! One webhook that is told of alarms.

use super::connection::{reference, secret};
use crate::config::Notify;
use crate::config::path::TomlPath;
use crate::config::raw::RawText;
use crate::config::raw::notify::RawNotify;
use crate::config::report::{Advice, Report};
use crate::post::{Address, is_allowed};

/// Checks `[notify.NAME]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, _name: &str) -> Option<Notify> {
    let raw: RawNotify = report.read(path);
    let tenant = super::tenant(report, path, raw.tenant);
    let url = address(report, &path.key("url"), raw.url);
    let secret = match raw.secret {
        Some(raw) => Some(secret(report, &path.key("secret"), raw)?),
        None => None,
    };
    Some(Notify { tenant, url: url?, secret })
}

/// An address to post to. It is not repeated: it may let in whoever has it.
pub(super) fn address(report: &mut Report<'_, '_>, place: &TomlPath, raw: Option<RawText>) -> Option<Address> {
    match report.required(place, raw) {
        Some(RawText::PlainText(text)) if is_allowed(&text) => Some(Address::Text(text)),
        Some(RawText::PlainText(_)) => {
            let expected =
                "an address that begins with `https://` is expected here, or with `http://` for this machine";
            report.wrong(place, expected, Advice::Example);
            None
        }
        Some(RawText::Reference(raw)) => reference(report, place, raw).map(Address::Reference),
        None => None,
    }
}
