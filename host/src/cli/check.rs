//! `gristmill check`: everything that can be known of a configuration without contacting anyone.

use clap::Args;
use serde_json::json;

use super::output::Paint;
use super::{CONFIGURATION, Failed, Shared, UNWELL, output};
use crate::config::{self, Config, Problem};
use crate::daemon::{PartError, Workshop, look_at_destination};
use crate::events::Chain;
use crate::source::MONTH;
use crate::worker::Launcher;

/// Read the configuration as the daemon does, compile the mappers, and contact nothing.
///
/// Everything that is wrong is said at once, each with its file, its place and a valid example. Exits 0 when nothing
/// is, 1 when single parts would be disabled, 78 when the daemon would not start.
#[derive(Debug, Args)]
pub struct Check {}

impl Check {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let loaded = config::load(&shared.config).map_err(|error| Failed::of(CONFIGURATION, &error))?;
        let fatal = loaded.is_fatal();
        let config = &loaded.config;
        let mut parts = Vec::new();
        let scratch = tempfile::tempdir()?;
        let workshop =
            Workshop::open(scratch.path(), Launcher::this_binary()).map_err(|error| Failed::of(super::BUG, &error))?;
        for settings in config.integrations.values() {
            if let Err(error) = workshop.recipe(config, settings) {
                let faults = match &error {
                    PartError::Settings { faults, .. } => faults.clone(),
                    error => vec![Chain(error).to_string()],
                };
                parts.push((format!("integrations.{}", settings.name), faults));
            }
        }
        for (name, destination) in &config.destinations {
            if let Err(source) = look_at_destination(&destination.kind) {
                let error = PartError::Destination { name: name.clone(), source };
                parts.push((format!("destinations.{name}"), vec![Chain(&error).to_string()]));
            }
        }
        let secrets = config.secrets();
        let of_connections = config.connections.iter().flat_map(|(key, connection)| {
            connection.secrets().map(move |reference| (format!("connections.{key}"), reference))
        });
        let of_destinations = config.destinations.iter().flat_map(|(name, destination)| {
            destination.kind.secrets().map(move |reference| (format!("destinations.{name}"), reference))
        });
        let of_notify = config
            .notify
            .iter()
            .flat_map(|(name, notify)| notify.secrets().map(move |reference| (format!("notify.{name}"), reference)));
        for (place, reference) in of_connections.chain(of_destinations).chain(of_notify) {
            match secrets.look(reference) {
                Ok(warning) => warning.into_iter().for_each(|warning| warn(shared, &place, &warning)),
                Err(error) if error.is_not_checked() => note(shared, &place, &error),
                Err(error) => parts.push((place, vec![Chain(&error).to_string()])),
            }
        }
        say(shared, &loaded.problems, &parts);
        let count = loaded.problems.len() + parts.len();
        match (fatal, count) {
            (true, _) => Err(Failed::new(CONFIGURATION, "the daemon would not start")),
            (false, 0) => {
                if !shared.json {
                    let parts = [
                        output::count(config.connections.len(), "connection", "connections"),
                        output::count(config.integrations.len(), "integration", "integrations"),
                        output::count(config.mappers.len(), "mapper of your own", "mappers of your own"),
                        output::count(config.destinations.len(), "destination", "destinations"),
                    ];
                    let sound = Paint::of(&std::io::stdout()).green("sound");
                    output::print(format!("{sound}: {}", parts.join(", ")));
                }
                say_listings(shared, config);
                Ok(())
            }
            (false, count) => {
                let problems = output::count(count, "problem", "problems");
                Err(Failed::new(UNWELL, format!("{problems}; what they concern would be disabled")))
            }
        }
    }
}

/// What listing costs: the requests of a month of 30 days, for as long as a prefix holds no more than 1,000 keys.
///
/// A request lists 1,000 keys. AWS's list price for 1,000 requests to S3 Standard in us-east-1 is US$ 0.005.
fn say_listings(shared: &Shared, config: &Config) {
    const DOLLARS: f64 = 0.005 / 1_000.0;
    let (mut total, mut has_budget) = (0.0, false);
    for settings in config.integrations.values() {
        let scheduled = MONTH.div_duration_f64(settings.poll_interval);
        let requests = settings.list_budget.map_or(scheduled, |budget| scheduled.min(budget.get() as f64));
        let is_aws = config.connections.get(&settings.connection).is_some_and(|it| it.endpoint_url.is_none());
        total += if is_aws { requests } else { 0.0 };
        has_budget |= is_aws && settings.list_budget.is_some();
        if shared.json {
            let requests = requests.ceil() as u64;
            output::print_json(&json!({ "integration": settings.name, "list_requests_a_month": requests }));
        }
    }
    if !shared.json && total > 0.0 {
        let (requests, dollars) = (indicatif::HumanCount(total.ceil() as u64), total * DOLLARS);
        let limited = if has_budget { ", up to the `list_budget` where there is one" } else { "" };
        output::print(format!(
            "listing: {requests} requests a month, about US$ {dollars:.2}, and as much again for every further 1,000 keys \
             under each prefix{limited}"
        ));
    }
}

/// A secret that only the service can read is not a problem (R14).
fn note(shared: &Shared, place: &str, what: &crate::secrets::SecretError) {
    if shared.json {
        output::print_json(&json!({ "path": place, "not_checked": Chain(what).to_string() }));
    } else {
        output::print(format!("{place}: not checked: {}", Chain(what)));
    }
}

/// A secret whose place should be mended can be read all the same.
fn warn(shared: &Shared, place: &str, warning: &crate::secrets::SecretWarning) {
    if shared.json {
        output::print_json(&json!({ "path": place, "warning": warning.to_string() }));
    } else {
        output::print(format!("{place}: {}: {warning}", Paint::of(&std::io::stdout()).yellow("warning")));
    }
}

fn say(shared: &Shared, problems: &[Problem], parts: &[(String, Vec<String>)]) {
    if shared.json {
        for problem in problems {
            output::print_json(&serde_json::to_value(problem).unwrap_or_default());
        }
    } else if !problems.is_empty() {
        output::print(config::render_problems(problems).trim_end());
    }
    for (path, faults) in parts {
        for fault in faults {
            match shared.json {
                true => output::print_json(&json!({ "path": path, "message": fault })),
                false => output::print(format!("{path}: {}", output::printable(fault))),
            }
        }
    }
}
