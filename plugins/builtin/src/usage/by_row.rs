//! Products and metrics that a column names, and the series that turn up.

use std::collections::HashMap;

use super::{Announced, Series};
use crate::Fault;
use crate::cell::{RowLog, is_blank, quote};
use crate::columns::{Batch, Cells, Column};
use crate::header::Wanted;
use crate::pattern::text;
use crate::plan::Known;
use crate::settings::{OnUnknown, is_key};

/// A column of names. Each name gets a number when it turns up, so that a row costs one look into a map, and nothing where
/// it has the name of the row before.
#[derive(Debug)]
pub(super) struct Names {
    header: u32,
    known: Known,
    /// `product` or `metric`.
    what: &'static str,
    numbers: HashMap<Box<[u8]>, Verdict>,
    names: Vec<String>,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Number(u32),
    Skipped,
    Unknown,
    NoName,
}

/// No number.
const NONE: u32 = u32::MAX;

impl Names {
    pub(super) fn new(header: u32, known: Known, what: &'static str) -> Self {
        Self { header, known, what, numbers: HashMap::new(), names: Vec::new() }
    }

    pub(super) fn header(&self) -> u32 {
        self.header
    }

    /// The number of each row's name. Rows without values are not looked at; a row whose name will not do is rejected, or
    /// loses its values.
    fn read(&mut self, cells: &Cells<'_>, metrics: &mut [Column], log: &mut RowLog) -> Vec<u32> {
        let mut last: Option<(&[u8], Verdict)> = None;
        let mut numbers = Vec::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            numbers.push(NONE);
            if !metrics.iter().any(|metric| metric.has_value(row)) {
                continue;
            }
            if is_blank(cell) {
                self.reject(row, "blank", b"", log);
                continue;
            }
            let name = cell.trim_ascii();
            let verdict = match last {
                Some((known, verdict)) if known == name => verdict,
                _ => self.judge(name),
            };
            last = Some((name, verdict));
            match verdict {
                Verdict::Number(number) => numbers[row] = number,
                Verdict::Skipped => metrics.iter_mut().for_each(|metric| metric.lose(row, cells.len())),
                Verdict::Unknown => self.reject(row, "unknown", name, log),
                Verdict::NoName => self.reject(row, "bad", name, log),
            }
        }
        numbers
    }

    /// Marks the rows whose name is left out.
    fn mark_skipped(&mut self, cells: &Cells<'_>, skipped: &mut Vec<bool>) {
        if self.known.on_unknown == OnUnknown::Reject {
            return;
        }
        skipped.resize(cells.len(), false);
        for (row, cell) in cells.iter().enumerate() {
            let name = cell.trim_ascii();
            skipped[row] |= !name.is_empty() && self.judge(name) == Verdict::Skipped;
        }
    }

    fn judge(&mut self, name: &[u8]) -> Verdict {
        if let Some(verdict) = self.numbers.get(name) {
            return *verdict;
        }
        let is_allowed = |allowed: &Vec<String>| allowed.iter().any(|allowed| allowed.as_bytes() == name);
        let verdict =
            match (is_key(text(name)), self.known.allowed.as_ref().is_none_or(is_allowed), self.known.on_unknown) {
                (false, ..) => Verdict::NoName,
                (true, true, _) => {
                    self.names.push(text(name).to_owned());
                    Verdict::Number(self.names.len() as u32 - 1)
                }
                (true, false, OnUnknown::Skip) => Verdict::Skipped,
                (true, false, OnUnknown::Reject) => Verdict::Unknown,
            };
        // Names that are refused may be endless, and a series that turns up is counted.
        if matches!(verdict, Verdict::Number(_)) {
            self.numbers.insert(name.into(), verdict);
        }
        verdict
    }

    #[cold]
    fn reject(&self, row: usize, how: &'static str, name: &[u8], log: &mut RowLog) {
        let what = self.what;
        let (code, message) = match (how, what) {
            ("blank", "product") => ("blank_product", "the row has values and no product".to_owned()),
            ("blank", _) => ("blank_metric", "the row has a value and no metric".to_owned()),
            ("unknown", "product") => ("unknown_product", " is not a product that is allowed".to_owned()),
            ("unknown", _) => ("unknown_metric", " is not a metric that is allowed".to_owned()),
            _ => ("bad_name", format!(" is not a name of a {what}: 1 to 255 bytes without control characters")),
        };
        log.reject(row, self.header, code, |bytes| {
            if how != "blank" {
                quote(name, bytes);
            }
            bytes.extend_from_slice(message.as_bytes());
        });
    }
}

/// What columns say of the series of a block.
#[derive(Debug)]
pub(super) struct ByRow {
    products: Option<Names>,
    /// In the long layout, with the header index of the unit's column.
    metrics: Option<(Names, Option<u32>)>,
    /// A series for each metric column, without what a column names.
    prototypes: Vec<Series>,
    /// By product, and by metric column or metric.
    series: HashMap<(u32, u32), u32>,
    /// By series, the unit that it has in this table.
    units: HashMap<u32, Vec<u8>>,
}

impl ByRow {
    pub(super) fn new(products: Option<Names>, metrics: Option<(Names, Option<u32>)>, prototypes: Vec<Series>) -> Self {
        Self { products, metrics, prototypes, series: HashMap::new(), units: HashMap::new() }
    }

    /// The header indices that it reads.
    pub(super) fn headers(&self) -> Vec<u32> {
        let mut headers: Vec<u32> = self.products.iter().map(|names| names.header).collect();
        if let Some((names, unit)) = &self.metrics {
            headers.push(names.header);
            headers.extend(*unit);
        }
        headers
    }

    /// The rows whose product or metric is left out, so that nothing is wrong with their values; empty where none can be.
    pub(super) fn skipped(&mut self, batch: &Batch<'_>, wanted: &Wanted) -> Vec<bool> {
        let mut skipped = Vec::new();
        let names = self.products.iter_mut().chain(self.metrics.iter_mut().map(|(names, _)| names));
        for names in names {
            names.mark_skipped(&batch.columns()[wanted.slot(names.header)], &mut skipped);
        }
        skipped
    }

    /// The series of each row and metric column, row by row.
    pub(super) fn read(
        &mut self,
        batch: &Batch<'_>,
        wanted: &Wanted,
        metrics: &mut [Column],
        announced: &mut Announced,
        log: &mut RowLog,
    ) -> Result<Vec<u32>, Fault> {
        let cells = |header: u32| &batch.columns()[wanted.slot(header)];
        let products = self.products.as_mut().map(|names| names.read(cells(names.header), metrics, log));
        let names = self.metrics.as_mut().map(|(names, _)| names.read(cells(names.header), metrics, log));
        let unit_header = self.metrics.as_ref().and_then(|(_, unit)| *unit);
        let count = metrics.len();
        let mut series = vec![NONE; batch.rows() as usize * count];
        for (place, metric) in metrics.iter().enumerate() {
            for row in 0..batch.rows() as usize {
                let product = products.as_ref().map_or(0, |numbers| numbers[row]);
                let name = names.as_ref().map_or(place as u32, |numbers| numbers[row]);
                if !metric.has_value(row) || log.is_lost(row) || product == NONE || name == NONE {
                    continue;
                }
                let unit = unit_header.map_or(&b""[..], |header| cells(header).get(row).trim_ascii());
                if let Some(header) = unit_header
                    && !unit.is_empty()
                    && !is_key(text(unit))
                {
                    log.reject(row, header, "bad_name", |bytes| {
                        quote(unit, bytes);
                        bytes.extend_from_slice(
                            b" is not the name of a unit: 1 to 255 bytes without control characters",
                        );
                    });
                    continue;
                }
                let number = match self.series.get(&(product, name)) {
                    Some(number) => *number,
                    None => {
                        let number = announced.add(self.describe(place, product, name, unit))?;
                        self.series.insert((product, name), number);
                        self.units.insert(number, unit.to_vec());
                        number
                    }
                };
                if let Some(header) = unit_header
                    && let Some(first) = self.units.get(&number).filter(|first| *first != unit)
                {
                    log.reject(row, header, "unit_conflict", |bytes| {
                        quote(unit, bytes);
                        bytes.extend_from_slice(b" is not the unit that this metric has above, ");
                        quote(first, bytes);
                    });
                    continue;
                }
                series[row * count + place] = number;
            }
        }
        Ok(series)
    }

    fn describe(&self, place: usize, product: u32, name: u32, unit: &[u8]) -> Series {
        let mut series = self.prototypes[place].clone();
        if let Some(products) = &self.products {
            series.product.clone_from(&products.names[product as usize]);
        }
        if let Some((names, _)) = &self.metrics {
            series.metric.clone_from(&names.names[name as usize]);
            series.unit = (!unit.is_empty()).then(|| text(unit).to_owned());
        }
        series
    }
}
