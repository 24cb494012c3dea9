//! The spool on a real disk.

use std::io::Read;

use super::*;

fn files_in(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect()
}

async fn spooled(spool: &Spool, chunks: &[&'static [u8]], digests: Digests) -> Result<SpooledObject, SpoolError> {
    let mut writer = spool.reserve(chunks.iter().map(|chunk| chunk.len() as u64).sum())?.write(digests)?;
    for chunk in chunks {
        writer.write(Bytes::from_static(chunk)).await?;
    }
    writer.finish().await
}

#[tokio::test]
async fn a_copy_is_hashed_on_the_way_and_can_be_read_twice() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path().join("a/spool"), 100, 0).unwrap();
    let object = spooled(&spool, &[b"one,", b"two"], Digests::ContentAndMd5).await.unwrap();
    assert_eq!(object.size(), 7);
    assert_eq!(object.content().as_bytes(), blake3::hash(b"one,two").as_bytes());
    assert_eq!(object.md5(), Some(Md5::digest(b"one,two").into()));
    for _ in 0..2 {
        let mut text = String::new();
        object.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one,two");
    }
    assert_eq!(spooled(&spool, &[b"x"], Digests::Content).await.unwrap().md5(), None);
}

#[tokio::test]
async fn directory_and_files_are_private() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    let object = spooled(&spool, &[b"x"], Digests::Content).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(directory.path()), mode(object.path())), (0o700, 0o600));
}

#[tokio::test]
async fn file_and_room_are_freed_on_drop() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    let object = spooled(&spool, &[b"12345"], Digests::Content).await.unwrap();
    assert_eq!((spool.reserved(), files_in(directory.path()).len()), (5, 1));
    drop(object);
    assert_eq!((spool.reserved(), files_in(directory.path()).len()), (0, 0));
    let mut writer = spool.reserve(10).unwrap().write(Digests::Content).unwrap();
    writer.write(Bytes::from_static(b"123")).await.unwrap();
    drop(writer);
    assert_eq!(spool.shared.room().unwritten, 0);
    assert_eq!(spool.reserved(), 0);
}

#[test]
fn left_overs_of_an_earlier_process_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("7.spooled"), "left").unwrap();
    std::fs::write(directory.path().join("notes.txt"), "not ours").unwrap();
    let _spool = Spool::open(directory.path(), 100, 0).unwrap();
    assert_eq!(files_in(directory.path()), ["notes.txt"]);
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let first = Spool::open(directory.path(), 100, 0).unwrap();
    std::fs::write(directory.path().join("7.spooled"), "in use").unwrap();
    assert!(matches!(Spool::open(directory.path(), 100, 0), Err(SpoolError::InUse { .. })));
    assert_eq!(files_in(directory.path()), ["7.spooled"]);
    drop(first);
    Spool::open(directory.path(), 100, 0).unwrap();
}

/// R19
#[test]
fn room_is_refused_before_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    let held = spool.reserve(60).unwrap();
    assert!(matches!(spool.reserve(41), Err(SpoolError::Full { size: 41, reserved: 60, limit: 100 })));
    assert!(matches!(spool.reserve(101), Err(SpoolError::TooLarge { size: 101, limit: 100 })));
    assert_eq!(spool.reserve(40).unwrap().size(), 40);
    drop(held);
    assert!(spool.reserve(100).is_ok());
}

/// R19
#[test]
fn room_that_must_stay_free_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), u64::MAX, u64::MAX / 2).unwrap();
    let refused = spool.reserve(1).unwrap_err();
    assert!(matches!(refused, SpoolError::DiskFull { size: 1, .. }));
    assert_eq!(refused.class(), ErrorClass::Space);
}

/// R19
#[test]
fn room_reserved_and_not_yet_written_does_not_count_as_free() {
    let directory = tempfile::tempdir().unwrap();
    let status = rustix::fs::statvfs(directory.path()).unwrap();
    let free = status.f_bavail * status.f_frsize;
    let spool = Spool::open(directory.path(), u64::MAX, 0).unwrap();
    let _held = spool.reserve(free / 4 * 3).unwrap();
    assert!(matches!(spool.reserve(free / 2), Err(SpoolError::DiskFull { .. })));
}

#[tokio::test]
async fn a_wait_for_room_ends_when_it_is_freed() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    let held = spool.reserve(100).unwrap();
    let waiting = tokio::spawn({
        let spool = spool.clone();
        async move { spool.reserve_when_free(50).await.map(|reservation| reservation.size()) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    assert_eq!(waiting.await.unwrap().unwrap(), 50);
    assert!(matches!(spool.reserve_when_free(101).await, Err(SpoolError::TooLarge { .. })));
}

#[tokio::test]
async fn bytes_beyond_the_reservation_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    let mut writer = spool.reserve(3).unwrap().write(Digests::Content).unwrap();
    let refused = writer.write(Bytes::from_static(b"1234")).await.unwrap_err();
    assert!(matches!(refused, SpoolError::Overrun { reserved: 3 }));
}

#[tokio::test]
async fn a_disk_that_refuses_is_an_error_of_the_copy() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 100, 0).unwrap();
    std::fs::write(directory.path().join("0.spooled"), "in the way").unwrap();
    let failed = spooled(&spool, &[b"x"], Digests::Content).await.unwrap_err();
    assert!(matches!(failed, SpoolError::Write { .. }), "{failed}");
    assert_eq!(failed.class(), ErrorClass::Ours);
}

#[tokio::test]
async fn new_limits_hold_at_once_also_for_who_waits() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 10, 0).unwrap();
    let held = spool.reserve(10).unwrap();
    let mut waiting = std::pin::pin!(spool.reserve_when_free(10));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    spool.change_limits(20, 0);
    assert_eq!(waiting.await.unwrap().size(), 10);
    drop(held);
    spool.change_limits(5, 0);
    assert!(matches!(spool.reserve(6), Err(SpoolError::TooLarge { .. })));
    spool.change_limits(5, u64::MAX);
    assert!(matches!(spool.reserve(5), Err(SpoolError::DiskFull { .. })));
}

/// R12, R19
#[tokio::test]
async fn a_kept_copy_stays_until_its_room_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 10, 0).unwrap();
    for name in ["one", "two"] {
        spooled(&spool, &[b"1234"], Digests::Content).await.unwrap().keep(name.to_owned());
    }
    assert_eq!((spool.reserved(), files_in(directory.path()).len()), (0, 2));
    assert!(spool.take_kept("three").is_none());
    let two = spool.take_kept("two").unwrap();
    assert_eq!((two.size(), spool.reserved()), (4, 4));
    assert_eq!(std::fs::read(two.path()).unwrap(), b"1234");
    assert_eq!(two.content().as_bytes(), blake3::hash(b"1234").as_bytes());
    assert!(matches!(spool.reserve(7), Err(SpoolError::Full { .. })), "the copy at work holds its room");
    let room = spool.reserve(6).unwrap();
    assert!(spool.take_kept("one").is_none(), "its room was asked for");
    drop((two, room));
    assert_eq!((spool.reserved(), files_in(directory.path()).len()), (0, 0));
}
