//! What a mapper writes to the log, as lines on standard error.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::super::output::printable;

/// Begins to show what mappers write.
pub(super) fn show() {
    // Whoever began before keeps the word; only tests in one process do.
    let _ = tracing_subscriber::registry().with(Lines).try_init();
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.is_of_a_mapper {
            let level = event.metadata().level().as_str().to_ascii_lowercase();
            eprintln!("log, {level}: {}", printable(&line.text));
        }
    }
}

#[derive(Default)]
struct Line {
    is_of_a_mapper: bool,
    text: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => self.is_of_a_mapper = value == "mapper_log",
            "line" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
