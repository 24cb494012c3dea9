//! The destinations of a configuration, each opened when an integration first needs it, and once for all of them.
//!
//! One that cannot be opened disables the integrations for which it decides, nothing else (R15), and opening it is tried
//! again whenever one of them is put together again. Those that merely name it beside others go on without it: opening it
//! is tried again for each object.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{self, Config, DestinationKind};
use crate::destination::accounts::{AccountVisitor, Wanted};
use crate::destination::files::FilesDestination;
use crate::destination::postgres::{Migrated, PostgresDestination, PostgresSettings};
use crate::destination::resolve::Resolver;
use crate::destination::sqlite::SqliteDestination;
use crate::destination::users::{User, UserVisitor, UsersMerged};
use crate::destination::webhook::{WebhookDestination, WebhookSettings};
use crate::destination::{Delivery, Destination, DestinationError, Staging, Summary, Taken};
use crate::events;
use crate::ingest::{DestinationSet, NamedDestination};
use crate::object::{DedupKey, DestinationName, Identity, IntegrationName, Relocation, TenantName};
use crate::secrets::Secrets;

use super::PartError;

/// What integrations share of their destinations.
pub struct Destinations(BTreeMap<DestinationName, Arc<Place>>);

/// A destination and, once it was needed, the open one. Locked while it is opened, so that none is opened twice.
struct Place {
    kind: DestinationKind,
    /// The store that it resolves through.
    resolver: Option<Arc<Place>>,
    staging: PathBuf,
    secrets: Secrets,
    open: Mutex<Option<Arc<dyn Destination>>>,
}

impl Destinations {
    /// Those of a configuration. Nothing is opened yet.
    pub fn of(config: &Config) -> Self {
        let mut places = BTreeMap::new();
        // Stores first, so that what resolves through one shares it.
        let (stores, others): (Vec<_>, Vec<_>) =
            config.destinations.iter().partition(|(_, destination)| destination.resolve.is_none());
        for (name, destination) in stores.into_iter().chain(others) {
            let resolver = destination.resolve.as_ref().and_then(|store| places.get(store).map(Arc::clone));
            places.insert(name.clone(), place(config, name, destination, resolver));
        }
        Self(places)
    }

    /// Those of another configuration. What is open stays open where it is still the same.
    pub fn reload(&self, config: &Config) -> Self {
        let mut places = Self::of(config).0;
        for (name, place) in &mut places {
            if let Some(known) = self.0.get(name).filter(|known| known.is_as(place)) {
                *place = Arc::clone(known);
            }
        }
        // What is new resolves through the store that is open already.
        let stores = places.clone();
        for (name, place) in &mut places {
            let store = config.destinations.get(name).and_then(|destination| stores.get(destination.resolve.as_ref()?));
            if let Some((store, resolver)) = store.zip(place.resolver.as_ref())
                && !Arc::ptr_eq(store, resolver)
                && let Some(destination) = config.destinations.get(name)
            {
                *place = self::place(config, name, destination, Some(Arc::clone(store)));
            }
        }
        Self(places)
    }

    /// The open destination; none where there is none of this name. Blocks while it is opened.
    pub fn get(&self, name: &DestinationName) -> Option<Result<Arc<dyn Destination>, DestinationError>> {
        Some(self.0.get(name)?.open())
    }

    /// An integration's destinations: the one that decides is open. Blocks while they are opened.
    pub fn set(&self, names: &[DestinationName]) -> Result<DestinationSet, PartError> {
        let place = |name: &DestinationName| {
            let missing = || PartError::Missing { name: format!("destinations.{name}") };
            Ok((name.clone(), self.0.get(name).map(Arc::clone).ok_or_else(missing)?))
        };
        let places = names.iter().map(place).collect::<Result<Vec<_>, PartError>>()?;
        let deciding = places.iter().position(|(_, place)| place.kind.can_match()).unwrap_or(0);
        let open = |(number, (name, place)): (usize, (DestinationName, Arc<Place>))| {
            let destination: Arc<dyn Destination> = match place.open() {
                Ok(open) => open,
                Err(source) if number == deciding => return Err(PartError::Destination { name, source }),
                Err(error) => {
                    let part = format!("destinations.{name}");
                    events::PartDisabled { part: &part, problem: &events::Chain(&error) }.emit();
                    Arc::new(Reopening(place))
                }
            };
            Ok(NamedDestination { name, destination })
        };
        let all = places.into_iter().enumerate().map(open).collect::<Result<_, _>>()?;
        DestinationSet::of(all).ok_or_else(|| PartError::Missing { name: "destination".to_owned() })
    }
}

impl Place {
    /// Whether it is that of a configuration in which nothing of it has changed.
    fn is_as(&self, other: &Self) -> bool {
        let resolver = |place: &Self| place.resolver.as_ref().map(|store| store.kind.clone());
        self.kind == other.kind && self.secrets.vault() == other.secrets.vault() && resolver(self) == resolver(other)
    }

    fn open(&self) -> Result<Arc<dyn Destination>, DestinationError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*open {
            return Ok(Arc::clone(open));
        }
        let resolver = self.resolver.as_ref().map(|store| Resolver::through(Arc::new(Reopening(Arc::clone(store)))));
        let opened = open_destination(&self.kind, self.staging.clone(), resolver, &self.secrets)?;
        *open = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

/// A destination that could not be opened, and is tried again whenever it is asked for something.
struct Reopening(Arc<Place>);

impl Destination for Reopening {
    fn confirmed(&self, tenant: &TenantName, identity: &Identity) -> Result<Option<Summary>, DestinationError> {
        self.0.open()?.confirmed(tenant, identity)
    }

    fn can_match(&self) -> bool {
        self.0.kind.can_match()
    }

    fn lacks_accounts(&self, tenant: &TenantName) -> Result<Option<bool>, DestinationError> {
        self.0.open()?.lacks_accounts(tenant)
    }

    fn visit_accounts(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut dyn AccountVisitor,
    ) -> Result<(), DestinationError> {
        self.0.open()?.visit_accounts(tenant, wanted, visitor)
    }

    fn merge_users(&self, tenant: &TenantName, users: &[User]) -> Result<UsersMerged, DestinationError> {
        self.0.open()?.merge_users(tenant, users)
    }

    fn visit_users(
        &self,
        tenant: &TenantName,
        wanted: Wanted<'_>,
        visitor: &mut UserVisitor<'_>,
    ) -> Result<(), DestinationError> {
        self.0.open()?.visit_users(tenant, wanted, visitor)
    }

    fn taken(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        dedup_key: &DedupKey,
    ) -> Result<Option<Taken>, DestinationError> {
        self.0.open()?.taken(tenant, integration, dedup_key)
    }

    fn unconfirmed(
        &self,
        tenant: &TenantName,
        identities: &[Identity],
    ) -> Result<Option<Vec<usize>>, DestinationError> {
        self.0.open()?.unconfirmed(tenant, identities)
    }

    fn rename(
        &self,
        tenant: &TenantName,
        from: &IntegrationName,
        to: &IntegrationName,
    ) -> Result<(), DestinationError> {
        self.0.open()?.rename(tenant, from, to)
    }

    fn relocate(
        &self,
        tenant: &TenantName,
        integration: &IntegrationName,
        step: &Relocation,
    ) -> Result<(), DestinationError> {
        self.0.open()?.relocate(tenant, integration, step)
    }

    fn stage(&self, delivery: Delivery) -> Result<Box<dyn Staging>, DestinationError> {
        self.0.open()?.stage(delivery)
    }
}

fn place(
    config: &Config,
    name: &DestinationName,
    destination: &config::Destination,
    resolver: Option<Arc<Place>>,
) -> Arc<Place> {
    let staging = config.daemon.state_dir.join("staging").join(name.as_str());
    Arc::new(Place {
        kind: destination.kind.clone(),
        resolver,
        staging,
        secrets: config.secrets(),
        open: Mutex::new(None),
    })
}

fn open_destination(
    kind: &DestinationKind,
    staging: PathBuf,
    resolver: Option<Resolver>,
    secrets: &Secrets,
) -> Result<Arc<dyn Destination>, DestinationError> {
    Ok(match kind {
        DestinationKind::Sqlite { path } => Arc::new(SqliteDestination::open(path.clone(), staging)?),
        DestinationKind::Postgres(settings) => Arc::new(postgres(settings, secrets)?),
        DestinationKind::Files { path, form } => Arc::new(FilesDestination::open(path, *form)?.resolving(resolver)),
        DestinationKind::Webhook(settings) => {
            let opened = WebhookDestination::open(settings.clone(), secrets.clone())?;
            Arc::new(opened.resolving(resolver))
        }
    })
}

/// Contacts nobody yet.
fn postgres(settings: &PostgresSettings, secrets: &Secrets) -> Result<PostgresDestination, DestinationError> {
    PostgresDestination::new(settings.clone(), secrets.clone())
}

/// Brings a destination's schema to this version's; none where it does that by itself. Blocks.
pub fn migrate(kind: &DestinationKind, secrets: &Secrets) -> Result<Option<Migrated>, DestinationError> {
    match kind {
        DestinationKind::Postgres(settings) => postgres(settings, secrets)?.migrate().map(Some),
        DestinationKind::Sqlite { .. } | DestinationKind::Files { .. } | DestinationKind::Webhook(_) => Ok(None),
    }
}

/// A destination for dry runs outside the daemon: what it would keep beside the store goes to `scratch`, and so does
/// an empty store where there is none yet. None where there is none of this name.
pub fn destination_for_reading(
    config: &Config,
    name: &DestinationName,
    scratch: &Path,
) -> Option<Result<Arc<dyn Destination>, DestinationError>> {
    let destination = config.destinations.get(name)?;
    let store = destination.resolve.as_ref().and_then(|store| config.destinations.get(store));
    let secrets = config.secrets();
    let resolver =
        store.map(|store| open_for_reading(&store.kind, &scratch.join("resolve"), None, &secrets)).transpose();
    let resolver = resolver.map(|store| store.map(Resolver::through));
    Some(resolver.and_then(|resolver| open_for_reading(&destination.kind, scratch, resolver, &secrets)))
}

fn open_for_reading(
    kind: &DestinationKind,
    scratch: &Path,
    resolver: Option<Resolver>,
    secrets: &Secrets,
) -> Result<Arc<dyn Destination>, DestinationError> {
    let there = |path: &PathBuf, name| if path.exists() { path.clone() } else { scratch.join(name) };
    let kind = match kind {
        DestinationKind::Sqlite { path } => DestinationKind::Sqlite { path: there(path, "store") },
        DestinationKind::Postgres(settings) => DestinationKind::Postgres(settings.clone()),
        DestinationKind::Files { path, form } => DestinationKind::Files { path: there(path, "files"), form: *form },
        DestinationKind::Webhook(settings) => {
            let directory = there(&settings.directory, "webhook");
            DestinationKind::Webhook(WebhookSettings { directory, ..settings.clone() })
        }
    };
    open_destination(&kind, scratch.join("staging"), resolver, secrets)
}

/// What can be seen of a destination without making or opening anything: that no file stands where its directory
/// belongs, if it has one. What may not be looked at is not held against it, since the service may be somebody else.
pub fn look_at_destination(kind: &DestinationKind) -> Result<(), DestinationError> {
    let Some(path) = kind.directory() else { return Ok(()) };
    let there = path.ancestors().find_map(|path| Some((path, std::fs::metadata(path).ok()?)));
    match there {
        Some((path, metadata)) if !metadata.is_dir() => Err(DestinationError::Io {
            what: "use",
            path: path.display().to_string(),
            source: std::io::ErrorKind::NotADirectory.into(),
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path, destinations: &str) -> Config {
        let path = directory.join("gristmill.toml");
        let state = directory.display();
        std::fs::write(&path, format!("[daemon]\nstate_dir = \"{state}\"\n{destinations}")).unwrap();
        let loaded = crate::config::load(&path).unwrap();
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        loaded.config
    }

    fn open(destinations: &Destinations, name: &str) -> Result<Arc<dyn Destination>, DestinationError> {
        destinations.get(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_reload_opens_only_what_changed() {
        let directory = tempfile::tempdir().unwrap();
        let both = "[destinations.a]\nfiles = { path = \"a\" }\n[destinations.b]\nfiles = { path = \"b\" }\n";
        let before = Destinations::of(&config(directory.path(), both));
        let (a, b) = (open(&before, "a").unwrap(), open(&before, "b").unwrap());
        assert!(Arc::ptr_eq(&a, &open(&before, "a").unwrap()), "all share one");
        let after = before.reload(&config(directory.path(), &both.replace("\"b\"", "\"c\"")));
        assert!(Arc::ptr_eq(&a, &open(&after, "a").unwrap()));
        assert!(!Arc::ptr_eq(&b, &open(&after, "b").unwrap()));
    }

    /// R15
    #[test]
    fn what_could_not_be_opened_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let destinations = "[destinations.a]\nsqlite = { path = \"in-the-way/store\" }\n";
        let in_the_way = directory.path().join("in-the-way");
        std::fs::write(&in_the_way, "").unwrap();
        let config = config(directory.path(), destinations);
        let destinations = Destinations::of(&config);
        let kind = &config.destinations.values().next().unwrap().kind;
        assert!(open(&destinations, "a").is_err());
        let seen = look_at_destination(kind).unwrap_err();
        assert_eq!(seen.to_string(), format!("cannot use `{}`", in_the_way.display()));
        std::fs::remove_file(&in_the_way).unwrap();
        look_at_destination(kind).unwrap();
        assert!(!in_the_way.exists(), "looking makes nothing");
        assert!(open(&destinations, "a").is_ok());
    }
}
