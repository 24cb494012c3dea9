//! Usage records: the logins of an account by month.

use gristmill_mapper::{
    Fault, Integer, Match, NoSettings, Reject, Row, Series, SeriesKey, Usage, UsageMapper, UsageTable, export,
};

struct Logins {
    logins: SeriesKey<Integer>,
}

impl UsageMapper for Logins {
    type Settings = NoSettings;

    fn open(table: &mut UsageTable<'_>, _: NoSettings) -> Result<Self, Fault> {
        for column in ["Account ID", "Day", "Logins"] {
            table.column(column)?;
        }
        table.identify([Match::CrmId]);
        Ok(Self { logins: table.series(Series::integer("Core", "logins")) })
    }

    fn map(&mut self, row: &Row<'_>, out: &mut Usage) -> Result<(), Reject> {
        let day = row["Day"].date()?;
        let logins = row["Logins"].integer()?;
        if let Some(day) = day {
            out.usage(&row["Account ID"], day).value(self.logins, logins);
        }
        Ok(())
    }
}

export!(usage: Logins);

#[cfg(test)]
mod tests {
    use gristmill_mapper::testing::{Sample, Value};

    use super::*;

    #[test]
    fn logins_are_kept_by_month() {
        let sample = Sample::new(["Account ID", "Day", "Logins"])
            .row(["0014K00001", "2024-10-14", "41"])
            .row(["0014K00003", "2024-10-15", ""])
            .row(["0014K00004", "15.10.2024", "8"]);
        let mapped = sample.usage::<Logins>().unwrap();
        let only = &mapped.records[0];
        assert_eq!((only.period_start.to_string().as_str(), &only.value), ("2024-10-01", &Value::Integer(41)));
        assert_eq!((mapped.records.len(), mapped.issues[0].row), (1, 2));
    }
}
