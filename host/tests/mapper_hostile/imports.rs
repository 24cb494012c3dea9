//! Ways out: what a component may not import, and how little there is behind what it may.

use super::*;

/// Interfaces of WASI, of its proposals and of hosts, none of which a mapper gets; of those that it may import, versions
/// that are not the sandbox's.
const FORBIDDEN: [&str; 40] = [
    "wasi:http/types@0.2.0",
    "wasi:http/incoming-handler@0.2.0",
    "wasi:http/outgoing-handler@0.2.6",
    "wasi:cli/run@0.2.0",
    "wasi:cli/command@0.2.0",
    "wasi:cli/environment@0.3.0",
    "wasi:cli/stdout@0.3.0",
    "wasi:cli/exit@0.2.0-rc-2023-12-05",
    "wasi:clocks/timezone@0.2.0",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:filesystem/types@0.3.0",
    "wasi:filesystem/preopens@0.1.0",
    "wasi:filesystem/filesystem@0.2.0",
    "wasi:io/streams@0.20.0",
    "wasi:random/random@0.3.0",
    "wasi:sockets/types@0.3.0",
    "wasi:sockets/tcp@0.2",
    "wasi:sockets/tcp@0.2.",
    "wasi:sockets/tls@0.2.0",
    "wasi:tls/types@0.2.0",
    "wasi:blobstore/blobstore@0.2.0",
    "wasi:config/store@0.2.0",
    "wasi:config/runtime@0.2.0",
    "wasi:keyvalue/store@0.2.0",
    "wasi:keyvalue/atomics@0.2.0",
    "wasi:logging/logging@0.2.0",
    "wasi:messaging/producer@0.2.0",
    "wasi:nn/graph@0.2.0",
    "wasi:nn/inference@0.2.0",
    "wasi:sql/readwrite@0.2.0",
    "wasi:threads/threads@0.2.0",
    "wasi:webgpu/webgpu@0.2.0",
    "wasi:i2c/i2c@0.2.0",
    "wasi:usb/usb@0.2.0",
    "wasi:cli/stdin@0.2.0/../../filesystem/types",
    "gristmill:mapper/secrets@0.1.0",
    "gristmill:mapper/field-mapping@0.1.0",
    "gristmill:mapper2/log@0.1.0",
    "acme:tools/shell@1.0.0",
];

/// A component that imports this, as an instance without a single function, and exports the name of a mapper.
fn importing(name: &str) -> Option<Vec<u8>> {
    wat::parse_str(format!(
        r#"(component (import "{name}" (instance)) (instance $mapping)
            (export "gristmill:mapper/field-mapping@0.1.0" (instance $mapping)))"#
    ))
    .ok()
}

/// I5
#[test]
fn no_way_out_is_among_the_imports() {
    let bench = Bench::new();
    for name in FORBIDDEN {
        let error = bench.load(&importing(name).unwrap()).err().unwrap();
        let codes = ["mapper-forbidden-import", "mapper-not-a-component"];
        assert!(codes.contains(&error.code()) && error.is_mappers_fault(), "{name}: {error:?}");
        assert_eq!(bench.cached("code").len() + bench.cached("refused").len(), 0, "{name} was compiled");
    }
    // A function or a type at the top, and the imports of a core module that was never made a component.
    for import in [r#"(import "system" (func (param "command" string)))"#, r#"(import "handle" (type (sub resource)))"#]
    {
        let text = format!(
            r#"(component {import} (instance $mapping)
                (export "gristmill:mapper/field-mapping@0.1.0" (instance $mapping)))"#
        );
        let error = bench.load(&wat::parse_str(text).unwrap()).err().unwrap();
        assert_eq!(error.code(), "mapper-forbidden-import", "{import}: {error:?}");
    }
}
