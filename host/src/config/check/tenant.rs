//! What the files of each tenant may take together.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::Tables;
use super::integration::Integrations;
use crate::config::path::TomlPath;
use crate::config::raw::tenant::RawTenant;
use crate::config::report::{Advice, Report};
use crate::config::{ByteSize, Daemon, Integration, Tenant};
use crate::object::{Share, TenantName};

const SECTION: &str = "tenants";
const MAPPER_MEMORY: ByteSize = ByteSize::from_bytes(1 << 30);
const PROCESSOR_SHARE: f64 = 0.05;

/// What stands in `[tenants.NAME]`.
#[derive(Default)]
struct Written {
    files_at_once: Option<usize>,
    mapper_memory: Option<ByteSize>,
    processor_share: Option<Share>,
}

/// Checks every `[tenants.NAME]`, and gives what each tenant of an integration may take. One whose table is refused has the
/// defaults, which protect the others.
pub(super) fn check(
    report: &mut Report<'_, '_>,
    daemon: &Daemon,
    integrations: &Integrations,
) -> BTreeMap<TenantName, Tenant> {
    let mut written: Tables<TenantName, Written> = super::tables(report, SECTION, check_one);
    let named = named_by_integrations(report);
    for tenant in written.named.keys().filter(|tenant| !named.contains(tenant.as_str())) {
        let known: Vec<&str> = named.iter().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => "take it out".to_owned(),
            known => format!("integrations belong to `{}`", known.join("`, `")),
        };
        let place = TomlPath::default().key(SECTION).key(tenant.as_str());
        report.leads_nowhere(&place, "no integration belongs to this tenant", Advice::HintOnly(hint));
    }
    let tenant_of = |integration: &Integration| integration.tenant.clone();
    let active: BTreeSet<TenantName> = integrations.active.values().map(tenant_of).collect();
    let at_once = match active.len() {
        0 | 1 => daemon.files_at_once,
        _ => daemon.files_at_once.div_ceil(2),
    };
    let all = active.into_iter().chain(integrations.switched_off.values().map(tenant_of));
    let limits = |tenant: TenantName| {
        let written = written.named.remove(&tenant).unwrap_or_default();
        let limits = Tenant {
            files_at_once: written.files_at_once.unwrap_or(at_once),
            mapper_memory: written.mapper_memory.unwrap_or(MAPPER_MEMORY),
            processor_share: written.processor_share.or(Share::of(PROCESSOR_SHARE))?,
        };
        Some((tenant, limits))
    };
    let all: BTreeSet<TenantName> = all.collect();
    all.into_iter().filter_map(limits).collect()
}

fn check_one(report: &mut Report<'_, '_>, path: &TomlPath, _name: &str) -> Option<Written> {
    let raw: RawTenant = report.read(path);
    let files_at_once = super::whole_number(report, &path.key("files_at_once"), raw.files_at_once, 1..=256);
    // One page of WebAssembly memory, as for a mapper.
    let page = ByteSize::from_bytes(64 << 10);
    Some(Written {
        files_at_once: files_at_once.and_then(|number| usize::try_from(number).ok()),
        mapper_memory: super::size(report, &path.key("mapper_memory"), raw.mapper_memory, page),
        processor_share: super::share(report, &path.key("processor_share"), raw.processor_share, 0.0),
    })
}

/// The tenants of all integrations, as they are written; those that are refused count, too.
fn named_by_integrations(report: &mut Report<'_, '_>) -> BTreeSet<String> {
    let section = TomlPath::default().key("integrations");
    let tables = report.tables_in(&section);
    let tenant = |name: String| match report.document().get(&section.key(name).key("tenant")).map(Spanned::get_ref) {
        Some(DeValue::String(tenant)) => tenant.to_string(),
        _ => TenantName::default().to_string(),
    };
    tables.into_iter().map(tenant).collect()
}
