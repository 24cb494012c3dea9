//! Threats that can stand in every function that the host calls, in both transforms.

use super::*;

/// Where a guest's code runs.
const PLACES: [&str; 6] = ["check", "open", "map-batch", "finish", "realloc", "release"];

/// The mapper of usage records with the lines of a threat in their places.
fn usage_guest(threat: &str) -> Vec<u8> {
    component(&with_threat("usage-skeleton", threat), "sandboxed-usage")
}

/// What becomes of a mapper that is asked for everything it can do.
fn asked_for_everything(mapper: &Mapper) -> Result<(), MapperError> {
    let rows = batch(0, &["a", "b", "c"]);
    if mapper.exports().field_mapping {
        mapper.check_fields("{}")?;
        let mut fields = open(mapper)?;
        fields.map_batch(&rows)?;
        fields.finish()?;
    } else {
        mapper.check_usage("{}")?;
        let mut usage = mapper.usage(FileBudget { bytes: 100 }, silent())?;
        usage.open(&source(), &header(), "{}")?;
        usage.map_batch(&rows)?;
        usage.finish()?;
    }
    Ok(())
}

fn quick() -> Limits {
    Limits { batch_processor: Duration::from_millis(100), ..Limits::default() }
}

fn check_code(bench: &Bench, bytes: &[u8], place: &str, code: &str) {
    let error = bench.load_with(bytes, quick()).and_then(|mapper| asked_for_everything(&mapper)).unwrap_err();
    assert_eq!((error.code(), error.is_mappers_fault()), (code, true), "{place}: {error:?}");
}

#[test]
fn the_usage_skeleton_itself_maps() {
    let mapper = Bench::new().load(&usage_guest("")).unwrap();
    assert!(!mapper.exports().field_mapping && mapper.exports().product_usage);
    asked_for_everything(&mapper).unwrap();
}

/// I6
#[test]
fn a_loop_in_any_function_meets_its_deadline() {
    let bench = Bench::new();
    for place in PLACES {
        let threat = format!(";;@{place}\n(loop $forever (br $forever))\n");
        check_code(&bench, &guest(&threat), place, "mapper-deadline");
        check_code(&bench, &usage_guest(&threat), place, "mapper-deadline");
    }
    // Both ways in which a component is initialised.
    for initialiser in ["(start $initialise)", "(export \"_initialize\" (func $initialise))"] {
        let threat = format!(";;@module\n(func $initialise (loop $forever (br $forever)))\n{initialiser}\n");
        check_code(&bench, &guest(&threat), initialiser, "mapper-deadline");
    }
}

/// I6
#[test]
fn a_trap_and_a_growth_in_any_function_are_named() {
    let bench = Bench::new();
    for place in PLACES {
        let trap = format!(";;@{place}\nunreachable\n");
        check_code(&bench, &guest(&trap), place, "mapper-trap");
        check_code(&bench, &usage_guest(&trap), place, "mapper-trap");
        let growth = format!(";;@{place}\n(drop (memory.grow (i32.const 2000)))\n");
        check_code(&bench, &guest(&growth), place, "mapper-memory");
        check_code(&bench, &usage_guest(&growth), place, "mapper-memory");
    }
}

#[test]
fn a_bomb_of_faults_is_an_error() {
    let bench = Bench::new();
    let mapper = bench.load(&guest(&hostile("output-bomb-in-check"))).unwrap();
    let error = mapper.check_fields("{}").unwrap_err();
    assert_eq!((error.code(), error.is_mappers_fault()), ("mapper-output-too-large", true), "{error:?}");
}

/// I6
#[test]
fn what_a_component_consists_of_is_counted_over_all_its_modules() {
    let bench = Bench::new();
    let check = |module: &str, count: usize, code: &str, message: &str| {
        let error = bench.load(&among_others(module, count)).err().unwrap();
        assert_eq!((error.code(), error.to_string().as_str()), (code, message), "{module}");
        assert!(error.is_mappers_fault(), "{module}");
    };
    check("", 101, "mapper-instances", "the mapper consists of more than 100 instances");
    check("(memory 0)", 8, "mapper-instances", "the mapper consists of more than 8 memories");
    check("(memory 200)", 6, "mapper-memory", "the mapper wanted more than 67108864 bytes of memory");
    check("(table 0 funcref) (table 0 funcref)", 51, "mapper-tables", "the mapper wanted more than 100 tables");
    check("(table 2000 funcref)", 51, "mapper-tables", "the mapper wanted more than 100000 table elements");
    asked_for_everything(&bench.load(&among_others("(table 1 funcref)", 50)).unwrap()).unwrap();
}

/// The well-behaved mapper of usage, followed by as many instances of another module.
fn among_others(module: &str, count: usize) -> Vec<u8> {
    let module = wat::parse_str(format!("(module {module})")).unwrap();
    // Each instance: made of a module, the second one, without imports.
    let instances = [number(count), [0, 1, 0].repeat(count)].concat();
    [usage_guest(""), section(1, &module), section(2, &instances)].concat()
}

/// A section of a component.
fn section(kind: u8, contents: &[u8]) -> Vec<u8> {
    [&[kind], number(contents.len()).as_slice(), contents].concat()
}

/// A number in LEB128.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
