//! The declared account fields, and what integrations bring of them and beside them.

use std::collections::BTreeMap;

use super::Tables;
use crate::account_fields::{AccountFieldType, AccountFields, DeclaredField, UndeclaredFields};
use crate::batch::UserKey;
use crate::config::AccountField;
use crate::config::path::{Segment, TomlPath};
use crate::config::raw::account_field::RawAccountField;
use crate::config::raw::integration::RawIntegration;
use crate::config::raw::mapping::{RawField, RawIdentifier};
use crate::config::report::{Advice, Report};
use crate::object::{AccountFieldName, TenantName};

const SECTION: &str = "account_fields";

/// Checks `[account_fields.NAME]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, name: &str) -> Option<AccountField> {
    let raw: RawAccountField = report.read(path);
    let tenant = super::tenant(report, path, raw.tenant);
    let field = raw.field.unwrap_or_else(|| name.to_owned());
    if field.is_empty() || field.len() > 255 || field.trim() != field || field.chars().any(char::is_control) {
        let expected = "a key of 1 to 255 bytes without blanks round it is expected here";
        report.wrong(&path.key("field"), expected, Advice::Example);
    }
    let r#type = report.required(&path.key("type"), raw.r#type);
    if let Some(unit) = &raw.unit {
        let place = path.key("unit");
        if unit.len() != 3 || !unit.bytes().all(|byte| byte.is_ascii_uppercase()) {
            report.wrong(&place, format!("`{unit}` is not three capital letters"), Advice::Example);
        } else if r#type.is_some_and(|r#type| r#type != AccountFieldType::Currency) {
            report.wrong(&place, "only a `currency` has it", Advice::HintOnly("take it out".into()));
        }
    }
    Some(AccountField { field, tenant, r#type: r#type?, unit: raw.unit })
}

/// No field of a tenant is declared twice.
pub(super) fn check_doubles(report: &mut Report<'_, '_>, fields: &mut Tables<AccountFieldName, AccountField>) {
    let mut seen: Vec<(&AccountFieldName, &AccountField)> = Vec::new();
    let mut refused = Vec::new();
    for (name, field) in &fields.named {
        let meets = |other: &AccountField| {
            other.field == field.field
                && (other.tenant.is_none() || field.tenant.is_none() || other.tenant == field.tenant)
        };
        match seen.iter().find(|(_, other)| meets(other)) {
            Some((other, _)) => {
                let message = format!("`{SECTION}.{other}` declares the field `{}` already", field.field);
                let place = TomlPath::default().key(SECTION).key(name.as_str());
                report.wrong(&place, message, Advice::HintOnly("keep one of the two, or one for each `tenant`".into()));
                refused.push(name.clone());
            }
            None => seen.push((name, field)),
        }
    }
    for name in refused {
        fields.named.remove(&name);
        fields.refused.insert(name.to_string());
    }
}

/// What an integration may bring, held against what its mapping for the built-in mapper does bring. A mapping of money
/// that names no currency gets the declared one.
pub(super) fn follow(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: &mut RawIntegration,
    tenant: Option<&TenantName>,
    fields: &Tables<AccountFieldName, AccountField>,
) -> AccountFields {
    let undeclared = raw.undeclared_fields.unwrap_or_default();
    let users_by = users_by(report, path, raw);
    // Without a tenant the integration is refused anyway, and whose fields are meant is not known.
    let Some(tenant) = tenant else {
        return AccountFields { declared: BTreeMap::new(), undeclared, users_by };
    };
    let serves = |field: &&AccountField| field.tenant.as_ref().is_none_or(|only| only == tenant);
    let declared: BTreeMap<&str, (&AccountFieldName, &AccountField)> = fields
        .named
        .iter()
        .filter(|(_, field)| serves(field))
        .map(|(name, field)| (field.field.as_str(), (name, field)))
        .collect();
    let known = Declared { undeclared, refused: refused_keys(report, tenant, fields), declared };
    for (index, field) in raw.fields.iter_mut().flatten().enumerate() {
        known.check_field(report, &path.key("fields").join([Segment::Index(index)]), field);
    }
    for (index, identifier) in raw.identifiers.iter().flatten().enumerate() {
        known.check_identifier(report, &path.key("identifiers").join([Segment::Index(index)]), identifier);
    }
    let declared = known
        .declared
        .into_iter()
        .map(|(key, (_, field))| (key.to_owned(), DeclaredField { r#type: field.r#type, unit: field.unit.clone() }));
    AccountFields { declared: declared.collect(), undeclared, users_by }
}

/// What tells the users that fields mean, where it is not their address. The destination finds them; the built-in mapper is
/// not told.
fn users_by(report: &mut Report<'_, '_>, path: &TomlPath, raw: &mut RawIntegration) -> BTreeMap<String, UserKey> {
    let mut users_by = BTreeMap::new();
    for (index, field) in raw.fields.iter_mut().flatten().enumerate() {
        let Some(key) = field.r#match.take() else { continue };
        if field.r#type.as_deref().is_some_and(|r#type| r#type != AccountFieldType::LookupUser.as_str()) {
            let place = path.key("fields").join([Segment::Index(index)]).key("match");
            report.wrong(&place, "only a `lookup_user` has it", Advice::HintOnly("take it out".into()));
        } else if let (Some(name), true) = (&field.field, key != UserKey::Email) {
            users_by.insert(name.clone(), key);
        }
    }
    users_by
}

/// The keys whose declarations for a tenant have a problem of their own, with the names of those.
fn refused_keys<'a>(
    report: &Report<'a, '_>,
    tenant: &TenantName,
    fields: &'a Tables<AccountFieldName, AccountField>,
) -> BTreeMap<&'a str, &'a str> {
    let document = report.document();
    let refused = fields.refused.iter().filter_map(|name| {
        let path = TomlPath::default().key(SECTION).key(name.as_str());
        let text = |key: &str| document.get(&path.key(key)).and_then(|value| value.get_ref().as_str());
        let serves = text("tenant").is_none_or(|only| only == tenant.as_str());
        serves.then(|| (text("field").unwrap_or(name), name.as_str()))
    });
    refused.collect()
}

/// The fields of one tenant.
struct Declared<'a> {
    undeclared: UndeclaredFields,
    refused: BTreeMap<&'a str, &'a str>,
    declared: BTreeMap<&'a str, (&'a AccountFieldName, &'a AccountField)>,
}

impl Declared<'_> {
    fn check_field(&self, report: &mut Report<'_, '_>, path: &TomlPath, mapped: &mut RawField) {
        let Some(key) = &mapped.field else { return };
        let Some((name, field)) = self.declared.get(key.as_str()) else {
            return self.check_undeclared(report, &path.key("field"), key);
        };
        let brought = mapped.r#type.as_deref().and_then(AccountFieldType::of_mapping);
        if brought.is_some_and(|brought| brought != field.r#type) {
            let message = format!("`{SECTION}.{name}` declares the field `{key}` as `{}`", field.r#type);
            let advice = format!("write `type = \"{}\"` in one of the two, or map to another field", field.r#type);
            report.wrong(&path.key("type"), message, Advice::HintOnly(advice));
            return;
        }
        match (&mapped.unit, &field.unit) {
            (None, unit) => mapped.unit.clone_from(unit),
            (Some(mapped), Some(unit)) if mapped != unit => report.wrong(
                &path.key("unit"),
                format!("`{SECTION}.{name}` declares the field `{key}` in `{unit}`"),
                Advice::HintOnly("map other currencies to fields of their own".into()),
            ),
            (Some(_), _) => {}
        }
    }

    /// An account that is created has the fields that it is known by.
    fn check_identifier(&self, report: &mut Report<'_, '_>, path: &TomlPath, identifier: &RawIdentifier) {
        let parts = identifier.columns.iter().flatten().enumerate();
        let parts = parts.map(|(index, part)| (path.key("columns").join([Segment::Index(index)]), &part.r#match));
        for (path, matched) in std::iter::once((path.clone(), &identifier.r#match)).chain(parts) {
            let key = matched.as_deref().and_then(|matched| matched.strip_prefix("field:"));
            if let Some(key) = key.filter(|key| !self.declared.contains_key(key)) {
                self.check_undeclared(report, &path.key("match"), key);
            }
        }
    }

    fn check_undeclared(&self, report: &mut Report<'_, '_>, path: &TomlPath, key: &str) {
        if let Some(name) = self.refused.get(key) {
            let message = format!("the account field `{key}` has a problem of its own");
            let advice = format!("mend `{SECTION}.{name}`; until then this integration stays off");
            report.wrong(path, message, Advice::HintOnly(advice));
        } else if self.undeclared == UndeclaredFields::Refuse {
            let message =
                format!("the account field `{key}` is not declared, and this integration refuses such fields");
            let advice = match key.parse::<AccountFieldName>() {
                Ok(_) => Advice::Table(TomlPath::default().key(SECTION).key(key)),
                Err(_) => Advice::HintOnly(format!("declare it: a table in `{SECTION}` with `field = {key:?}`")),
            };
            report.leads_nowhere(path, message, advice);
        }
    }
}
