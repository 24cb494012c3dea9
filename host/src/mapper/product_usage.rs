//! One file's product usage: a component at work, table by table.

use std::sync::Arc;

use super::bindings::{product_usage as raw, types};
use super::error::MapperError;
use super::input::{Input, Source};
use super::instance::{Instance, fault};
use super::meter::{Meter, Worked};
use super::output::{Scope, usage};
use super::table::{Table, size_of_opening};
use super::{Fault, FileBudget, Limits, Loaded, LogSink};
use crate::batch::{Batch, UsageBatch, UsageLayout, ValueType};

/// Product usage of one file, in an instance of its own. After any error it is done for.
pub struct UsageMapping {
    component: Arc<Loaded>,
    instance: Instance<raw::Guest>,
    table: Option<Table<UsageLayout>>,
    /// The types of the open table's series, in the order announced.
    announced: Vec<ValueType>,
}

impl UsageMapping {
    pub(super) fn start(
        component: &Arc<Loaded>,
        meter: &Arc<Meter>,
        limits: Limits,
        budget: FileBudget,
        log: LogSink,
    ) -> Result<Self, MapperError> {
        let functions = component.product_usage.as_ref();
        let functions = functions.ok_or(MapperError::NoTransform { transform: "product usage" })?;
        let instance =
            Instance::start(component, meter, limits, budget, log, |store, instance| functions.load(store, instance))?;
        Ok(Self { component: Arc::clone(component), instance, table: None, announced: Vec::new() })
    }

    pub(super) fn check(&mut self, settings: &str) -> Result<Vec<Fault>, MapperError> {
        let call = |guest: &raw::Guest, store: &mut _| guest.call_check(store, settings);
        let faults = |faults: Vec<types::Fault>| Ok(faults.into_iter().map(fault).collect());
        self.instance.call(&self.component.ticker, size_of_opening(&[], settings), call, faults)
    }

    /// Begins a table. An open one is forgotten with what the mapper held back of it.
    pub fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<UsageLayout, MapperError> {
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        let call = |guest: &raw::Guest, store: &mut _| guest.call_open(store, source.lower(), &names, settings);
        let layout = |returned: Result<_, _>| match returned {
            Ok(layout) => Ok(usage::layout(layout, names.len())?),
            Err(raw) => Err(MapperError::Fault(fault(raw))),
        };
        let layout = self.instance.call(&self.component.ticker, size_of_opening(header, settings), call, layout)?;
        self.table = Some(Table::new(layout.clone(), names.len()));
        self.announced.clear();
        Ok(layout)
    }

    /// What it did so far.
    pub fn worked(&self) -> Worked {
        self.instance.worked()
    }

    /// Maps one batch of the open table. Batches come in row order.
    pub fn map_batch(&mut self, batch: &Batch) -> Result<UsageBatch, MapperError> {
        let table = self.table.as_mut().ok_or(MapperError::Input { what: "no table is open" })?;
        let input = Input::new(batch, &table.layout.wanted)?;
        let scope = table.advance(batch, &input)?;
        let cells = input.cells();
        let call = |guest: &raw::Guest, store: &mut _| guest.call_map_batch(store, input.lower(&cells));
        let check = |returned| checked(returned, &table.layout, &mut self.announced, &scope);
        self.instance.call(&self.component.ticker, input.size(), call, check)
    }

    /// Ends the open table and returns what the mapper held back; often nothing.
    pub fn finish(&mut self) -> Result<UsageBatch, MapperError> {
        let table = self.table.take().ok_or(MapperError::Input { what: "no table is open" })?;
        let held_back = table.held_back(self.instance.limits());
        let call = |guest: &raw::Guest, store: &mut _| guest.call_finish(store);
        let check = |returned| checked(returned, &table.layout, &mut self.announced, &table.scope());
        self.instance.call(&self.component.ticker, held_back, call, check)
    }
}

fn checked(
    returned: Result<raw::UsageBatch, types::Fault>,
    layout: &UsageLayout,
    announced: &mut Vec<ValueType>,
    scope: &Scope,
) -> Result<UsageBatch, MapperError> {
    match returned {
        Ok(batch) => Ok(usage::batch(batch, layout, announced, scope)?),
        Err(raw) => Err(MapperError::Fault(fault(raw))),
    }
}
