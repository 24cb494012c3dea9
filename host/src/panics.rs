//! What is said of a panic, which is a bug of ours: where it was, and never what was at hand.
//!
//! The words of a panic may quote any value: the text that could not be cut, the secret that could not be parsed. So they
//! are said only where they stand in the program as they are; whatever was formatted is left out. The place is known in
//! any case, and `RUST_BACKTRACE=1` shows the way to it, which holds no value either.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{Location, PanicHookInfo};

/// Has every panic from now on say on standard error where it was, and keep to itself what it may quote. Standard error,
/// because a panic may come where nothing is logged.
pub fn keep_words_private() {
    std::panic::set_hook(Box::new(say));
}

fn say(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    eprintln!("{}", told(thread.name().unwrap_or("without a name"), panic.location(), panic.payload()));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        eprintln!("{backtrace}");
    }
}

fn told(thread: &str, place: Option<&Location<'_>>, payload: &dyn Any) -> String {
    let place = place.map_or("an unknown place".to_owned(), ToString::to_string);
    // Formatted words come as a `String`.
    let words = payload.downcast_ref::<&'static str>().unwrap_or(&"its words are left out, as they may hold data");
    format!("a bug of ours: the thread `{thread}` panicked at {place}: {words}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PANICS: &str = "GRISTMILL_TEST_PANICS";
    const SECRET: &str = "wJalrXUtnFEMI-K7MDENG";

    /// Does nothing unless the test below starts it as a process of its own.
    #[test]
    fn a_process_panics() {
        match std::env::var(PANICS).as_deref() {
            Ok("formatted") => {
                keep_words_private();
                let ended = std::thread::Builder::new().name("guilty".to_owned()).spawn(|| {
                    let secret = std::env::var("SECRET").unwrap();
                    // As the standard library does it by itself: the text stands in the panic's words.
                    secret.parse::<u64>().map(drop).map_err(|error| format!("{secret}: {error}")).unwrap();
                });
                ended.unwrap().join().unwrap_err();
            }
            Ok("plain") => {
                keep_words_private();
                panic!("this stands in the program");
            }
            _ => {}
        }
    }

    fn said(how: &str) -> String {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "panics::tests::a_process_panics", "--nocapture"]);
        let ended = process.env(PANICS, how).env("SECRET", SECRET).env("RUST_BACKTRACE", "full").output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    #[test]
    fn a_panic_says_where_it_was_and_not_what_was_at_hand() {
        let formatted = said("formatted");
        assert!(formatted.contains("the thread `guilty` panicked at "), "{formatted}");
        assert!(formatted.contains("panics.rs:") && formatted.contains("its words are left out"), "{formatted}");
        assert!(formatted.contains("a_process_panics"), "the way to it: {formatted}");
        assert!(!formatted.contains(SECRET), "{formatted}");
        assert!(said("plain").contains(": this stands in the program"));
    }
}
