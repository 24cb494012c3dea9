//! What becomes of notices.

use tracing::{debug, error};

use crate::notify::Notice;

/// A webhook took a notice.
pub struct NoticeTold<'a> {
    /// The webhook's name.
    pub notify: &'a str,
    /// What it was told.
    pub notice: &'a Notice,
    /// At which attempt.
    pub attempt: u32,
}

impl NoticeTold<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { notify, notice, attempt } = self;
        debug!(
            event = "notice_told", notify, kind = ?notice.kind, id = notice.id, integration = %notice.integration, attempt,
            "notice told"
        );
    }
}

/// A webhook will not be told of something.
pub struct NoticeLost<'a> {
    /// The webhook's name.
    pub notify: &'a str,
    /// What it was to be told.
    pub notice: &'a Notice,
    /// Why; never its address.
    pub reason: &'a str,
}

impl NoticeLost<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { notify, notice, reason } = self;
        error!(
            event = "notice_lost", notify, kind = ?notice.kind, id = notice.id, integration = %notice.integration, reason,
            "a notice could not be told"
        );
    }
}
