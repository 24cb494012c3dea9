//! Every released version of the contract is kept for ever: components that were built for one are frozen in
//! `tests/frozen/VERSION`, and go on making of their samples what they always made.

use std::fs;
use std::path::Path;
use std::process::Command;

use gristmill_tests::daemon::binary;

#[test]
fn a_component_of_each_released_version_makes_what_it_always_made() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let versions = |directory: &Path| {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let frozen = versions(&root.join("frozen"));
    assert_eq!(frozen, versions(&root.join("../wit")), "each version of the contract has its component");
    for version in frozen {
        let place = root.join("frozen").join(&version);
        let mut test = Command::new(binary());
        test.current_dir(&place).args(["mapper", "test", "--mapper", "mapper.wasm", "sample.csv"]);
        let ran = test.args(["--golden", "golden.jsonl"]).output().unwrap();
        assert!(ran.status.success(), "{version}: {ran:?}");
    }
}
