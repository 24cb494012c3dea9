//! Every log line as a type: what happened, with its fields. No control flow.
//!
//! An event's name stands in its `event` field and never changes its meaning, so that an alert may match on it. Text
//! that comes from outside (keys, cells, a mapper's lines) is escaped by the formatter or before it stands here.

use std::fmt;

mod connection;
mod daemon;
mod integration;
mod mapper;
mod notice;
mod object;

pub use connection::{ConnectionRenamed, KeysKept, KeysRotated, SecretWarned};
pub use daemon::{
    ConfigDeferred, ConfigRefused, ConfigReloaded, DaemonStarted, DaemonStopping, PartDisabled, PartEnabled,
    StepStalled,
};
pub use integration::{
    DestinationAdded, FileArrived, FileOverdue, IntegrationHalted, IntegrationPanicked, IntegrationPaused,
    IntegrationRecovered, IntegrationRenamed, IntegrationRepointed, IntegrationUnblocked, KeysForgotten, PassFailed,
    PassFinished,
};
pub use mapper::{
    MapperCallNotSaved, MapperFailed, MapperKeptBack, MapperLetBack, MapperLoaded, MapperRowLeftOut, MapperWorked,
    mapper_log,
};
pub use notice::{NoticeLost, NoticeTold};
pub use object::{
    BatchNotTaken, ObjectCompleted, ObjectFailed, ObjectFetched, ObjectMerged, ObjectReverted, ObjectSkipped,
};

/// An error with its chain of causes on one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Text as one word of a shell's command line.
pub struct ShellWord<'a>(pub &'a str);

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_hint_can_be_pasted_into_a_shell_whatever_the_key() {
        for word in ["daily/a b.csv", "it's.csv", "'", "$HOME `x` \"y\" \\n"] {
            let command = format!("printf %s {}", ShellWord(word));
            let printed = std::process::Command::new("/bin/sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), word);
        }
    }

    #[test]
    fn the_guide_names_every_event() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let texts = |directory: &Path| -> String {
            let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
        };
        let guide = texts(&root.join("../docs"));
        let events = texts(&root.join("src/events"));
        let names = events.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let names: Vec<&str> = names.collect();
        assert!(names.len() > 25, "{names:?}");
        let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
