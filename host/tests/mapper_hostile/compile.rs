//! Threats to the compiler and to what is kept of its work.

use super::*;

/// 60 KB: a loop that changes 1,000 values and begins anew in 50,000 ways. For each of the ways the compiler keeps a list of
/// all values, and lists of their places, which takes it more than 2 GiB within seconds.
fn large_to_compile() -> Vec<u8> {
    let (values, ways) = (1_000, 50_000);
    let mut body = "(local i64)".repeat(values);
    body.push_str("(loop ");
    for value in 0..values {
        body.push_str(&format!("(local.set {value} (i64.add (local.get {value}) (i64.const 1)))"));
    }
    body.push_str(&format!("(br_table {}1 (i32.wrap_i64 (local.get 0))))", "0 ".repeat(ways)));
    guest(&format!(";;@module\n(func $large (export \"large\") {body})\n"))
}

#[test]
fn a_component_that_makes_the_compiler_use_gigabytes_fails_within_its_memory() {
    let bench = Bench::new();
    let memory = 512 << 20;
    let limits = Limits { compile: CompileLimits { memory, ..CompileLimits::default() }, ..Limits::default() };
    let error = bench.load_with(&large_to_compile(), limits).err().unwrap();
    assert_eq!((error.code(), error.is_mappers_fault()), ("mapper-compile", true));
    let expected = "cannot compile the component: the worker needed more memory than it may have (512 MiB)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(bench.cached("refused").len(), 1);
}

#[test]
fn a_verdict_that_was_tampered_with_is_reached_again() {
    let mut bench = Bench::new();
    let mut bytes = guest("");
    let at = bytes.windows(3).position(|code| code == [0x41, 0x80, 0x04]).unwrap();
    bytes[at] = 0xff;
    assert_eq!(bench.load(&bytes).err().unwrap().code(), "mapper-compile");
    let [path] = &bench.cached("refused")[..] else { panic!("one verdict is kept") };
    let genuine = fs::read(path).unwrap();
    let words = String::from_utf8_lossy(&genuine[32..]).replace("reason\":\"", "reason\":\"forged: ");
    let mut flipped = genuine.clone();
    flipped[0] ^= 1;
    for forgery in [flipped, [&genuine[..32], words.as_bytes()].concat(), genuine[..32].to_vec(), Vec::new()] {
        assert_ne!(forgery, genuine);
        fs::write(path, forgery).unwrap();
        bench.restart();
        let error = bench.load(&bytes).err().unwrap();
        assert!(error.code() == "mapper-compile" && !error.to_string().contains("forged"), "{error}");
        assert_eq!(fs::read(path).unwrap(), genuine, "the verdict was not reached anew");
    }
}

/// Native code that somebody else compiled, however it is presented: as the file, as an entry of the cache without a seal,
/// and as one with the seal of another cache.
#[test]
fn native_code_from_elsewhere_never_runs() {
    let (theirs, ours) = (Bench::new(), Bench::new());
    theirs.load(&guest(&hostile("trap"))).unwrap();
    let foreign = theirs.cached("code").remove(0);
    let name = foreign.file_name().unwrap().to_owned();
    let entry = fs::read(&foreign).unwrap();
    for planted in [entry.clone(), entry[32..].to_vec()] {
        fs::write(ours.directory.path().join("cache").join(&name), planted).unwrap();
        // With no program to compile with, only the planted code could be loaded.
        let host = MapperHost::start(ours.directory.path().join("cache"), Launcher::at("/nonexistent")).unwrap();
        let error = host.try_out("acme", &guest(&hostile("trap")), Limits::default()).err().unwrap();
        assert_eq!(error.code(), "mapper-worker");
    }
}
