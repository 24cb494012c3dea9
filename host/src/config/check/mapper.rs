//! One custom mapper.

use std::path::Path;
use std::time::Duration;

use crate::config::path::{Segment, TomlPath};
use crate::config::raw::mapper::{RawLimits, RawMapper};
use crate::config::report::{Advice, Report};
use crate::config::{ByteSize, Mapper, MapperLimits, SaveFailed};
use crate::mapper::signature_beside;

/// Checks `[mappers.NAME]`.
pub(super) fn check(report: &mut Report<'_, '_>, path: &TomlPath, _name: &str) -> Option<Mapper> {
    let raw: RawMapper = report.read(path);
    let place = path.key("path");
    let (file, _) = report.document().place(&place);
    let written = report.required(&place, raw.path);
    let component = super::directory(report, &place, written, file.parent().unwrap_or(Path::new("")));
    let place = path.key("sha256");
    let digest = report.required(&place, raw.sha256);
    let sha256 = report.parsed(&place, digest, str::parse);
    let place = path.key("signed_by");
    let signed_by = raw.signed_by.map(|keys| {
        if keys.is_empty() {
            report.wrong(&place, "it names no key", Advice::HintOnly("take it out, or name one".into()));
        }
        let keys = keys.into_iter().enumerate();
        keys.filter_map(|(number, key)| report.parsed(&place.join([Segment::Index(number)]), Some(key), str::parse))
            .collect::<Vec<_>>()
    });
    if raw.signature.is_some() && signed_by.is_none() {
        let hint = "name the keys that may have signed it, or take `signature` out";
        report.missing(&place, "nobody is named whose signature would count", Advice::Hint(hint.into()));
    }
    let place = path.key("signature");
    let signature = super::directory(report, &place, raw.signature, file.parent().unwrap_or(Path::new("")));
    let tenant = super::tenant(report, path, raw.tenant);
    let save_failed = save_failed(report, path, raw.save_failed, raw.save_failed_files, raw.save_failed_size);
    let limits = limits(report, &path.key("limits"), raw.limits.unwrap_or_default());
    let component = component?;
    let signature = signature.unwrap_or_else(|| signature_beside(&component));
    Some(Mapper {
        path: component,
        sha256: sha256?,
        signature,
        signed_by: signed_by.unwrap_or_default(),
        tenant,
        limits,
        save_failed,
    })
}

fn save_failed(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    wanted: Option<bool>,
    files: Option<i64>,
    size: Option<String>,
) -> Option<SaveFailed> {
    let default = SaveFailed::default();
    let files = super::whole_number(report, &path.key("save_failed_files"), files, 1..=100_000);
    let files = files.and_then(|number| usize::try_from(number).ok()).unwrap_or(default.files);
    let least = ByteSize::from_bytes(1 << 20);
    let size = super::size(report, &path.key("save_failed_size"), size, least).unwrap_or(default.size);
    wanted.unwrap_or_default().then_some(SaveFailed { files, size })
}

fn limits(report: &mut Report<'_, '_>, path: &TomlPath, raw: RawLimits) -> MapperLimits {
    let default = MapperLimits::default();
    // One page of WebAssembly memory, and the smallest time that a clock tick can tell from none.
    let (page, tick) = (ByteSize::from_bytes(64 << 10), Duration::from_millis(10));
    let mut size = |key: &str, raw, default| super::size(report, &path.key(key), raw, page).unwrap_or(default);
    let component_size = size("component_size", raw.component_size, default.component_size);
    let memory = size("memory", raw.memory, default.memory);
    let compile_memory = size("compile_memory", raw.compile_memory, default.compile_memory);
    let table_elements = super::whole_number(report, &path.key("table_elements"), raw.table_elements, 1..=100_000_000);
    let mut time = |key: &str, raw, default| super::duration(report, &path.key(key), raw, tick).unwrap_or(default);
    MapperLimits {
        component_size,
        memory,
        table_elements: table_elements
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(default.table_elements),
        cpu_per_batch: time("cpu_per_batch", raw.cpu_per_batch, default.cpu_per_batch),
        cpu_per_file: time("cpu_per_file", raw.cpu_per_file, default.cpu_per_file),
        cpu_per_mib: time("cpu_per_mib", raw.cpu_per_mib, default.cpu_per_mib),
        compile_cpu: time("compile_cpu", raw.compile_cpu, default.compile_cpu),
        compile_time: time("compile_time", raw.compile_time, default.compile_time),
        compile_memory,
    }
}
