//! Hostile mappers against the real host: each is limited, named and forgotten, and nothing else notices.
//!
//! The guests stand in `tests/hostile`, one a threat. Compiling goes through the built binary, as it does in the daemon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{Int64Array, StringArray, cast::AsArray};
use gristmill::batch::{Batch, Cells, Issues, MatchKey, ValueType};
use gristmill::mapper::{
    CompileLimits, ComponentFile, FieldMapping, FileBudget, Limits, LogLine, LogSink, Mapper, MapperError, MapperHost,
    Signed, Source, Span,
};
use gristmill::object::{ComponentDigest, SignerKey};
use gristmill::worker::Launcher;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

#[path = "mapper_hostile/compile.rs"]
mod compile;
#[path = "mapper_hostile/exports.rs"]
mod exports;
#[path = "mapper_hostile/imports.rs"]
mod imports;

/// The text of a file in `tests/hostile`.
fn hostile(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hostile").join(format!("{name}.wat"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The mapper of account records with the lines of a threat in their places.
fn guest(threat: &str) -> Vec<u8> {
    component(&with_threat("skeleton", threat), "sandboxed")
}

/// A skeleton with the lines of a threat in their places.
fn with_threat(skeleton: &str, threat: &str) -> String {
    let mut text = hostile(skeleton);
    for part in threat.split(";;@").skip(1) {
        let (place, lines) = part.split_once('\n').unwrap();
        let place = format!(";;@{}\n", place.trim());
        assert!(text.contains(&place), "{place}");
        text = text.replacen(&place, lines, 1);
    }
    text
}

/// A core module in the canonical ABI as a component; what it does not import of WASI, the component does not either.
fn component(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(root.join("wit/0.1.0")).unwrap();
    let package = resolve.push_file(root.join("tests/hostile/sandbox.wit")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

fn digest(bytes: &[u8]) -> ComponentDigest {
    ComponentDigest::from_bytes(Sha256::digest(bytes).into())
}

fn file(path: &Path, sha256: ComponentDigest) -> ComponentFile<'_> {
    ComponentFile { path, sha256, signed: None }
}

/// A host with a cache of its own.
struct Bench {
    directory: TempDir,
    host: MapperHost,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let host = Self::host(directory.path());
        Self { directory, host }
    }

    fn host(directory: &Path) -> MapperHost {
        MapperHost::start(directory.join("cache"), Launcher::at(env!("CARGO_BIN_EXE_gristmill"))).unwrap()
    }

    /// The same directory in a new host, as after a restart.
    fn restart(&mut self) {
        self.host = Self::host(self.directory.path());
    }

    fn load_with(&self, bytes: &[u8], limits: Limits) -> Result<Arc<Mapper>, MapperError> {
        let path = self.directory.path().join("acme.wasm");
        fs::write(&path, bytes).unwrap();
        self.host.load(&"acme".parse().unwrap(), file(&path, digest(bytes)), limits)
    }

    fn load(&self, bytes: &[u8]) -> Result<Arc<Mapper>, MapperError> {
        self.load_with(bytes, Limits::default())
    }

    /// The files in the cache with this extension.
    fn cached(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("cache")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }
}

fn source() -> Source {
    Source {
        integration: "acme-accounts".into(),
        connection: "acme".into(),
        bucket: "exports".into(),
        key: "daily/a.csv".into(),
        etag: "0123".into(),
        size: 100,
        last_modified: 0,
        sheet: None,
        timezone: "UTC".into(),
        today: 20_000,
    }
}

fn header() -> Vec<String> {
    vec!["Account ID".into(), "Name".into()]
}

fn batch(first_row: u32, ids: &[&str]) -> Batch {
    let text = StringArray::from(ids.to_vec());
    let lines = (0..ids.len() as u64).map(|row| u64::from(first_row) + row + 2).collect();
    Batch { first_row, lines, columns: vec![Some(Cells { text, typed: None }), None], issues: Issues::none() }
}

fn silent() -> LogSink {
    Arc::new(|_| ())
}

fn open(mapper: &Mapper) -> Result<FieldMapping, MapperError> {
    let mut mapping = mapper.fields(FileBudget { bytes: 100 }, silent())?;
    mapping.open(&source(), &header(), "{}")?;
    Ok(mapping)
}

/// What a threat comes to: the error of loading it, or of mapping a table of three rows.
fn fate(bench: &Bench, threat: &str) -> MapperError {
    let limits = Limits { batch_processor: Duration::from_millis(200), ..Limits::default() };
    let mapped = bench.load_with(&guest(&hostile(threat)), limits).and_then(|mapper| {
        let mut mapping = open(&mapper)?;
        let error = mapping.map_batch(&batch(0, &["a", "b", "c"])).and_then(|_| mapping.finish());
        if error.is_err() {
            let again = mapping.open(&source(), &header(), "{}").unwrap_err();
            assert_eq!(again.code(), "mapper-input", "a guest that failed was entered again");
        }
        error
    });
    match mapped {
        Ok(_) => panic!("`{threat}` was mapped"),
        Err(error) => error,
    }
}

#[test]
fn the_skeleton_itself_maps() {
    let bench = Bench::new();
    let mapper = bench.load(&guest("")).unwrap();
    assert_eq!(mapper.name(), "acme");
    assert!(mapper.exports().field_mapping && !mapper.exports().product_usage);
    assert_eq!(mapper.check_fields("{}").unwrap(), []);
    assert_eq!(mapper.check_usage("{}").unwrap_err().code(), "mapper-no-transform");

    let mut mapping = mapper.fields(FileBudget { bytes: 100 }, silent()).unwrap();
    for _ in 0..2 {
        let layout = mapping.open(&source(), &header(), "{}").unwrap();
        assert_eq!((layout.wanted, layout.identifiers), (vec![0], vec![vec![MatchKey::CrmId]]));
        assert_eq!(layout.fields.iter().map(|field| field.value_type).collect::<Vec<_>>(), [ValueType::Integer]);
        for first in [0, 3] {
            let records = mapping.map_batch(&batch(first, &["a", "", "ü"])).unwrap();
            assert_eq!(records.rows, [first, first + 1, first + 2]);
            assert_eq!(records.identifiers, [StringArray::from(vec!["a", "", "ü"])]);
            assert_eq!(records.fields[0].values.as_primitive(), &Int64Array::from(vec![7, 7, 7]));
            assert!(records.issues.is_empty());
        }
        assert!(mapping.finish().unwrap().is_empty());
    }
    assert_eq!(mapping.finish().unwrap_err().code(), "mapper-input");
}

#[test]
fn the_built_in_mapper_takes_the_same_way() {
    let bench = Bench::new();
    let mapper = bench.host.built_in().unwrap();
    assert_eq!((mapper.name(), bench.cached("code").len()), ("built-in", 1));
    assert!(mapper.exports().field_mapping && mapper.exports().product_usage);
    let settings = r#"{"identifiers":[{"column":"Account ID","match":"crm_id"}],
        "fields":[{"column":"Name","field":"name","type":"text"}]}"#;
    assert_eq!(mapper.check_fields(settings).unwrap(), []);
    assert_ne!(mapper.check_fields("{}").unwrap(), []);
    let mut mapping = mapper.fields(FileBudget { bytes: 100 }, silent()).unwrap();
    let layout = mapping.open(&source(), &header(), settings).unwrap();
    assert_eq!((layout.wanted, layout.identifiers), (vec![0, 1], vec![vec![MatchKey::CrmId]]));
    let mut batch = batch(0, &["a", "b"]);
    let names = StringArray::from(vec!["Acme", ""]);
    batch.columns[1] = Some(Cells { text: names, typed: None });
    let records = mapping.map_batch(&batch).unwrap();
    assert_eq!(records.identifiers, [StringArray::from(vec!["a", "b"])]);
    assert_eq!(records.fields[0].values.as_string(), &StringArray::from(vec![Some("Acme"), None]));
}

/// I6
#[test]
fn every_threat_comes_to_an_error_with_its_name() {
    let bench = Bench::new();
    let check = |threat: &str, code: &str, message: &str| {
        let error = fate(&bench, threat);
        assert_eq!((error.code(), error.to_string().as_str()), (code, message), "{threat}: {error:?}");
        assert!(error.is_mappers_fault(), "{threat}");
    };
    let late = "the mapper took more than 200ms of processor time for one batch";
    check("loop-in-map-batch", "mapper-deadline", late);
    check("loop-in-start", "mapper-deadline", late);
    check("grow-memory", "mapper-memory", "the mapper wanted more than 67108864 bytes of memory");
    check("huge-memory", "mapper-memory", "the mapper wanted more than 67108864 bytes of memory");
    check("grow-table", "mapper-tables", "the mapper wanted more than 100000 table elements");
    check("declared-memory", "mapper-memory", "the mapper wanted more than 67108864 bytes of memory");
    check("grow-two-memories", "mapper-memory", "the mapper wanted more than 67108864 bytes of memory");
    check("many-memories", "mapper-instances", "the mapper consists of more than 8 memories");
    check("declared-table", "mapper-tables", "the mapper wanted more than 100000 table elements");
    check("handle-flood", "mapper-handles", "the mapper holds more than 1000 handles");
    check("output-bomb-in-open", "mapper-output-too-large", "the mapper returned more than 1048640 bytes at once");
    check("output-bomb-in-finish", "mapper-output-too-large", "the mapper returned more than 1051724 bytes at once");
    check("output-bomb", "mapper-output-too-large", "the mapper returned more than 1051724 bytes at once");
    check("log-bomb", "mapper-output-too-large", "the mapper returned more than 1051724 bytes at once");
    let bad = "the mapper returned what it must not: ";
    let check_bad = |threat: &str, what: &str| check(threat, "mapper-bad-output", &format!("{bad}{what}"));
    check_bad("bad-offsets", "identifier column 0: offsets that do not begin at 0, or that fall");
    check_bad(
        "bad-utf8",
        "identifier column 0: Invalid argument error: Encountered non UTF-8 data: invalid utf-8 sequence of 1 bytes from index 0",
    );
    check_bad("bad-bitmap", "field `n`: the bitmap `validity` has 0 bytes for 3 rows");
    check_bad("bad-name", "invalid utf-8 sequence of 1 bytes from index 0");
    check_bad("bad-allocation", "realloc return: beyond end of memory");
    check_bad("unaligned-allocation", "realloc return: result not aligned");
    check_bad("unaligned", "list pointer is not aligned");
    check_bad("no-such-case", "invalid expected discriminant");
    check_bad("duplicate-fields", "layout: field `n` stands there twice");
    check_bad("log-level", "unexpected discriminant: 4");
    check_bad("log-bad-utf8", "invalid utf-8 sequence of 1 bytes from index 0");
    check_bad("pointer-outside-memory", "list pointer/length out of bounds of memory");
    check_bad("unknown-row", "row 4000000000 is not one of rows 0 to 3");
    check_bad("too-few-values", "field `n`: 2 values for 3 rows");
    check_bad("unknown-column", "layout: column 999 is wanted of a header of 2");
    check("trap", "mapper-trap", "the mapper trapped: wasm trap: wasm `unreachable` instruction executed");
    check(
        "trap-in-allocation",
        "mapper-trap",
        "the mapper trapped: wasm trap: wasm `unreachable` instruction executed in `allocate`",
    );
    check("exit", "mapper-trap", "the mapper trapped: it exited with status 1");
    check(
        "recursion-in-allocation",
        "mapper-trap",
        "the mapper trapped: wasm trap: call stack exhausted in `allocate`",
    );
    check("recursion-in-start", "mapper-trap", "the mapper trapped: wasm trap: call stack exhausted in `initialise`");
    check("deep-recursion", "mapper-trap", "the mapper trapped: wasm trap: call stack exhausted in `deeper`");
    // Which of the two it is that finds the stack full depends on the machine.
    let error = fate(&bench, "mutual-recursion").to_string();
    assert!(error.starts_with("the mapper trapped: wasm trap: call stack exhausted in `"), "{error}");
    // After all of them the host maps as before.
    assert!(open(&bench.load(&guest("")).unwrap()).is_ok());
}

#[test]
fn a_fault_is_the_files_and_cannot_drive_a_terminal() {
    let bench = Bench::new();
    let mut mapping = open(&bench.load(&guest(&hostile("fault"))).unwrap()).unwrap();
    let error = mapping.map_batch(&batch(0, &["a"])).unwrap_err();
    assert_eq!((error.code(), error.is_mappers_fault()), ("2J31mpwned", false));
    assert_eq!(error.to_string(), "\\u{1b}[2J\\u{1b}[31mpwned (`2J31mpwned`)");
    assert_eq!(mapping.finish().unwrap_err().code(), "mapper-input");
}

#[test]
fn processor_time_is_counted_over_a_whole_file() {
    let limits = Limits {
        file_processor: Duration::from_millis(100),
        file_processor_per_mebibyte: Duration::from_millis(50),
        ..Limits::default()
    };
    let bench = Bench::new();
    let mapper = bench.load_with(&guest(&hostile("slow-open")), limits).unwrap();
    let mut mapping = mapper.fields(FileBudget { bytes: 2 << 20 }, silent()).unwrap();
    let error = (0..10_000).find_map(|_| mapping.open(&source(), &header(), "{}").err()).unwrap();
    let expected = "the mapper took more than 200ms of processor time for one file";
    assert_eq!((error.code(), error.to_string().as_str()), ("mapper-deadline", expected));
    assert!(matches!(error, MapperError::Deadline { span: Span::FileProcessor, .. }));
}

#[test]
fn a_loop_in_one_file_leaves_another_alone() {
    let bench = Bench::new();
    let (looping, good) = (bench.load(&guest(&hostile("loop-in-map-batch"))).unwrap(), bench.load(&guest("")).unwrap());
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| open(&looping).unwrap().map_batch(&batch(0, &["a"])).map(drop));
        let mut mapping = open(&good).unwrap();
        let mut row = 0;
        while !looping.is_finished() {
            assert_eq!(mapping.map_batch(&batch(row, &["a"])).unwrap().rows, [row]);
            row += 1;
        }
        assert_eq!(looping.join().unwrap().unwrap_err().code(), "mapper-deadline");
    });
}

#[test]
fn a_log_flood_is_capped_escaped_and_counted() {
    let bench = Bench::new();
    let mapper = bench.load(&guest(&hostile("log-flood"))).unwrap();
    let lines = Arc::new(Mutex::new(Vec::<LogLine>::new()));
    let seen = Arc::clone(&lines);
    let sink: LogSink = Arc::new(move |line| seen.lock().unwrap().push(line));
    let mut mapping = mapper.fields(FileBudget { bytes: 100 }, sink).unwrap();
    mapping.open(&source(), &header(), "{}").unwrap();
    mapping.map_batch(&batch(0, &["a"])).unwrap();
    let lines = lines.lock().unwrap();
    assert!(lines.iter().all(|line| line.message.len() <= 1024 && !line.message.contains('\u{1b}')));
    assert!(lines.iter().map(|line| line.message.len()).sum::<usize>() <= 66 << 10);
    let last = &lines.last().unwrap().message;
    assert_eq!(
        *last,
        format!(
            "{} more lines were dropped: a mapper may write 65536 bytes a batch, 1048576 a file",
            10_001 - lines.len()
        )
    );
}

/// I5
#[test]
fn a_component_that_is_no_mapper_is_refused_before_it_is_compiled() {
    let bench = Bench::new();
    let check = |name: &str, code: &str, message: &str| {
        let bytes = wat::parse_str(hostile(&format!("{name}.component"))).unwrap();
        let error = bench.load(&bytes).err().unwrap();
        assert_eq!((error.code(), error.to_string().as_str()), (code, message), "{name}");
        assert!(error.is_mappers_fault(), "{name}");
        assert_eq!(bench.cached("code").len() + bench.cached("refused").len(), 0, "{name} was compiled");
    };
    check("forbidden-import", "mapper-forbidden-import", "a mapper must not import `wasi:http/outgoing-handler@0.2.0`");
    check(
        "wrong-world",
        "mapper-wrong-world",
        "the component is no mapper: it exports neither `gristmill:mapper/field-mapping` nor \
         `gristmill:mapper/product-usage`",
    );
    check(
        "unknown-version",
        "mapper-unknown-version",
        "the mapper was built for version `0.9.0` of the contract, this version knows `0.1.0`",
    );
    check("core-module", "mapper-not-a-component", "not a WebAssembly component: it is a core module");
}

/// I5
#[test]
fn the_sandbox_has_no_way_out_and_is_the_same_every_time() {
    let bench = Bench::new();
    let mapper = bench.load(&guest(&hostile("sandbox"))).unwrap();
    let numbers = || {
        let mut mapping = open(&mapper).unwrap();
        let mut number = |row| {
            let records = mapping.map_batch(&batch(row, &["a"])).unwrap();
            records.fields[0].values.as_primitive::<arrow_array::types::Int64Type>().value(0)
        };
        [number(0), number(1)]
    };
    let [first, second] = numbers();
    assert_ne!(first, second);
    assert_eq!(numbers(), [first, second]);
}

#[test]
fn functions_that_are_missing_or_of_other_types_are_named() {
    let bench = Bench::new();
    let check = |name: &str, words: &str| {
        let bytes = wat::parse_str(hostile(&format!("{name}.component"))).unwrap();
        let error = bench.load(&bytes).err().unwrap();
        assert_eq!(error.code(), "mapper-wrong-world", "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    };
    check("empty-mapping", "does not have export `check`");
    check("wrong-types", "type mismatch with parameters");
}

#[test]
fn other_bytes_than_the_pinned_ones_are_refused() {
    let bench = Bench::new();
    let path = bench.directory.path().join("acme.wasm");
    fs::write(&path, guest("")).unwrap();
    let load =
        |limits| bench.host.load(&"acme".parse().unwrap(), file(&path, digest(b"other bytes")), limits).err().unwrap();
    assert_eq!(
        (load(Limits::default()).code(), load(Limits::default()).is_mappers_fault()),
        ("mapper-digest-mismatch", false)
    );
    assert_eq!(load(Limits { component: 10, ..Limits::default() }).code(), "mapper-too-large");
    fs::remove_file(&path).unwrap();
    assert_eq!(load(Limits::default()).code(), "mapper-io");
}

#[test]
fn a_component_counts_only_with_the_signature_that_is_asked_for() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/frozen/0.1.0");
    let public = fs::read_to_string(frozen.join("mapper.pub")).unwrap();
    let [theirs, other] = [public.lines().nth(1).unwrap(), "RWTGf4Xr4e6UNbMn0eTyIay+9+Buf+oJ2GpRx7d/aRhEGAGRDZZcC4yl"];
    let bench = Bench::new();
    let bytes = fs::read(frozen.join("mapper.wasm")).unwrap();
    let changed = bench.directory.path().join("changed.wasm");
    fs::write(&changed, [bytes.as_slice(), b"\0\x02\x01x"].concat()).unwrap();
    let load = |path: &Path, signature: &Path, keys: &[&str]| {
        let by: Vec<SignerKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
        let sha256 = digest(&fs::read(path).unwrap());
        let file = ComponentFile { path, sha256, signed: Some(Signed { signature, by: &by }) };
        bench.host.load(&"acme".parse().unwrap(), file, Limits::default()).map(drop).map_err(|error| error.to_string())
    };
    let (component, signature) = (frozen.join("mapper.wasm"), frozen.join("mapper.wasm.minisig"));
    load(&component, &signature, &[other, theirs]).unwrap();
    let refused = |path: &Path, signature: &Path, keys: &[&str], why: &str| {
        let error = load(path, signature, keys).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&component, &signature, &[other], "none of the keys in `signed_by` signed it");
    refused(&changed, &signature, &[theirs], "it is of another file, or was changed");
    refused(&component, &frozen.join("sample.csv"), &[theirs], "it is no signature");
    refused(&component, &frozen.join("nothing"), &[theirs], "cannot read the signature");
}

#[test]
fn native_code_from_a_user_is_refused() {
    let bench = Bench::new();
    bench.load(&guest("")).unwrap();
    let entry = fs::read(&bench.cached("code")[0]).unwrap();
    for bytes in [&entry[..], &entry[32..]] {
        assert_eq!(bench.load(bytes).err().unwrap().code(), "mapper-not-a-component");
    }
}

#[test]
fn compiled_code_is_kept_privately_and_loaded_again() {
    let mut bench = Bench::new();
    bench.load(&guest("")).unwrap();
    let cache = bench.directory.path().join("cache");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join("key")), mode(&bench.cached("code")[0])), (0o700, 0o600, 0o600));
    // With no program to compile with, the cache is all there is.
    bench.host = MapperHost::start(cache, Launcher::at("/nonexistent")).unwrap();
    assert!(open(&bench.load(&guest("")).unwrap()).is_ok());
    assert_eq!(bench.load(&guest(&hostile("trap"))).err().unwrap().code(), "mapper-worker");
}

#[test]
fn a_cache_entry_that_was_tampered_with_is_compiled_again() {
    let mut bench = Bench::new();
    bench.load(&guest("")).unwrap();
    bench.load(&guest(&hostile("trap"))).unwrap();
    let paths = bench.cached("code");
    let genuine: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let flipped = |at: usize| {
        let mut bytes = genuine[0].clone();
        bytes[at] ^= 1;
        bytes
    };
    let forgeries = [
        flipped(0),
        flipped(32),
        flipped(genuine[0].len() / 2),
        flipped(genuine[0].len() - 1),
        genuine[0][..genuine[0].len() - 1].to_vec(),
        genuine[0][..16].to_vec(),
        Vec::new(),
        // The genuine code of another component, under this one's name.
        genuine[1].clone(),
        // Genuine code without a genuine seal.
        [&[0; 32], &genuine[0][32..]].concat(),
    ];
    for forgery in forgeries {
        assert_ne!(forgery, genuine[0]);
        fs::write(&paths[0], &forgery).unwrap();
        bench.restart();
        for bytes in [guest(""), guest(&hostile("trap"))] {
            bench.load(&bytes).unwrap();
        }
        assert_eq!(fs::read(&paths[0]).unwrap(), genuine[0], "the entry was not made anew");
    }
}

#[test]
fn a_key_that_others_could_read_voids_the_cache() {
    let mut bench = Bench::new();
    bench.load(&guest("")).unwrap();
    let key = bench.directory.path().join("cache/key");
    let (old_key, old_entry) = (fs::read(&key).unwrap(), fs::read(&bench.cached("code")[0]).unwrap());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    bench.restart();
    bench.load(&guest("")).unwrap();
    assert_ne!(fs::read(&key).unwrap(), old_key);
    assert_ne!(fs::read(&bench.cached("code")[0]).unwrap()[..32], old_entry[..32]);
}

/// 30 KB of nested loops that all carry the same 400 values. Every loop makes the compiler think about every value
/// again, which takes it minutes.
fn hard_to_compile() -> Vec<u8> {
    let (depth, values) = (800, 400);
    let mut body = String::new();
    for value in 0..values {
        body.push_str(&format!("(local $v{value} i64)"));
    }
    for level in 0..depth {
        body.push_str(&format!("(block $b{level} (loop $l{level} "));
    }
    for value in 0..values {
        let next = (value + 1) % values;
        body.push_str(&format!("(local.set $v{value} (i64.add (local.get $v{next}) (local.get $v{value})))"));
    }
    for level in (0..depth).rev() {
        let value = level % values;
        body.push_str(&format!("(br_if $l{level} (i64.eqz (local.get $v{value}))) (br_if $b{level} (i32.const 1))))"));
    }
    guest(&format!(";;@module\n(func $hard (export \"hard\") {body})\n"))
}

#[test]
fn a_component_that_takes_minutes_to_compile_fails_in_bounded_time_and_is_not_tried_again() {
    let mut bench = Bench::new();
    let processor = Duration::from_secs(1);
    let limits = Limits { compile: CompileLimits { processor, ..CompileLimits::default() }, ..Limits::default() };
    let bytes = hard_to_compile();
    let error = bench.load_with(&bytes, limits).err().unwrap();
    assert_eq!((error.code(), error.is_mappers_fault()), ("mapper-compile", true));
    assert_eq!(error.to_string(), "cannot compile the component: the worker used up its processor time (1s)");
    assert_eq!(bench.cached("refused").len(), 1);

    // In this process, and in the next, the verdict stands without a worker.
    for _ in 0..2 {
        assert_eq!(bench.load_with(&bytes, limits).err().unwrap().code(), "mapper-compile");
        let cache = bench.directory.path().join("cache");
        bench.host = MapperHost::start(cache, Launcher::at("/nonexistent")).unwrap();
    }
    // Other limits are another question.
    let error = bench.load_with(&bytes, Limits { compile: CompileLimits::default(), ..limits }).err().unwrap();
    assert_eq!(error.code(), "mapper-worker");
}

#[test]
fn a_component_that_is_not_valid_is_refused_with_the_compilers_words() {
    let bench = Bench::new();
    let mut bytes = guest("");
    // `i32.const 512` of a function becomes no instruction at all; what is read before compiling does not look that deep.
    let at = bytes.windows(3).position(|code| code == [0x41, 0x80, 0x04]).unwrap();
    bytes[at] = 0xff;
    let error = bench.load(&bytes).err().unwrap();
    assert_eq!(error.code(), "mapper-compile", "{error}");
}
