//! Lines hold the same however they are compressed, and what a crash cut off is not taken for whole.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::*;

const ALL: [(Compression, &str); 3] =
    [(Compression::None, "ndjson"), (Compression::Gzip, "ndjson.gz"), (Compression::Zstd, "ndjson.zst")];

fn in_lines(compression: Compression) -> Form {
    Form { format: Format::Ndjson, compression }
}

/// The text of the one file of this name, as any reader of its kind has it.
fn text(root: &Path, name: &str) -> String {
    let bytes = bytes_of(root, name);
    let mut text = String::new();
    match name.rsplit_once('.') {
        Some((_, "gz")) => MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap(),
        Some((_, "zst")) => zstd::Decoder::new(bytes.as_slice()).unwrap().read_to_string(&mut text).unwrap(),
        _ => bytes.as_slice().read_to_string(&mut text).unwrap(),
    };
    text
}

fn bytes_of(root: &Path, name: &str) -> Vec<u8> {
    let files = everything(root);
    let mut found = files.iter().filter(|(path, _)| path.file_name().unwrap() == name);
    let (_, bytes) = found.next().unwrap();
    assert!(found.next().is_none(), "one object has one directory");
    bytes.clone()
}

#[test]
fn lines_hold_the_same_however_they_are_compressed() {
    for late in [&[][..], &[10], &[10, 11, 12]] {
        let written = ALL.map(|(compression, extension)| {
            let root = tempfile::tempdir().unwrap();
            let destination = FilesDestination::open(root.path(), in_lines(compression)).unwrap();
            let stage = || {
                let mut staging = staged(&destination, delivery("a", 0), &[]);
                late.iter().for_each(|row| staging.reject_row(*row).unwrap());
                staging
            };
            let preview = stage().preview().unwrap();
            let summary = stage().merge(RowCounts::default()).unwrap();
            assert_eq!(summary.merged, preview.merged);
            assert_eq!(everything(root.path()).len(), 3);
            let texts = ["accounts", "usage"].map(|name| text(root.path(), &format!("{name}.{extension}")));
            (summary, texts, preview)
        });
        assert_eq!(written[0].1[0].lines().count(), 3 - late.len());
        assert_eq!(written[0], written[1]);
        assert_eq!(written[0], written[2]);
    }
}

#[test]
fn compressed_lines_are_small() {
    let size = ALL.map(|(compression, extension)| {
        let root = tempfile::tempdir().unwrap();
        let destination = FilesDestination::open(root.path(), in_lines(compression)).unwrap();
        let mut staging = staged(&destination, delivery("a", 0), &[]);
        for _ in 0..2_000 {
            staging.accounts(&account_batch(), &[]).unwrap();
        }
        staging.merge(RowCounts::default()).unwrap();
        bytes_of(root.path(), &format!("accounts.{extension}")).len()
    });
    assert!(size[0] > 20 * size[1] && size[0] > 20 * size[2], "{size:?}");
}

/// I3: what a process leaves that was killed while it wrote.
#[test]
fn what_was_cut_off_is_written_anew() {
    let forms = [in_lines(Compression::Gzip), in_lines(Compression::Zstd), parquet::FORM];
    for form in forms {
        let whole = tempfile::tempdir().unwrap();
        let destination = FilesDestination::open(whole.path(), form).unwrap();
        staged(&destination, delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
        let expected = everything(whole.path());

        let root = tempfile::tempdir().unwrap();
        let destination = FilesDestination::open(root.path(), form).unwrap();
        let cut_off = root.path().join(STAGING).join(delivery("a", 0).identity.digest());
        fs::create_dir(&cut_off).unwrap();
        for (path, bytes) in &expected {
            fs::write(cut_off.join(path.file_name().unwrap()), &bytes[..bytes.len() / 2]).unwrap();
        }
        assert_eq!(destination.confirmed(&TenantName::default(), &delivery("a", 0).identity).unwrap(), None);
        staged(&destination, delivery("a", 0), &[]).merge(RowCounts::default()).unwrap();
        assert_eq!(everything(root.path()), expected, "{form:?}");
        assert_eq!(left_in_staging(root.path()), 0);
    }
}

/// R1: a replay in another form leaves nothing of the one before.
#[test]
fn a_replay_takes_the_place_of_files_in_another_form() {
    let root = tempfile::tempdir().unwrap();
    let forms = [in_lines(Compression::None), parquet::FORM, in_lines(Compression::Zstd), in_lines(Compression::Gzip)];
    for (generation, form) in forms.into_iter().enumerate() {
        let destination = FilesDestination::open(root.path(), form).unwrap();
        let delivery = delivery("a", generation as u32);
        assert_eq!(destination.confirmed(&delivery.tenant, &delivery.identity).unwrap(), None);
        staged(&destination, delivery, &[]).merge(RowCounts::default()).unwrap();
        let names: Vec<_> = everything(root.path())
            .into_keys()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let extension = match (form.format, form.compression) {
            (Format::Parquet, _) => "parquet",
            (Format::Ndjson, Compression::None) => "ndjson",
            (Format::Ndjson, Compression::Gzip) => "ndjson.gz",
            (Format::Ndjson, Compression::Zstd) => "ndjson.zst",
        };
        assert_eq!(names, [format!("accounts.{extension}"), MANIFEST.to_owned(), format!("usage.{extension}")]);
    }
}
