//! Account records, the plan and the yearly revenue of an account, and usage records, its logins by month.

use gristmill_mapper::{
    Accounts, Decimal, Fault, Field, FieldKey, FieldMapper, FieldTable, Integer, Match, NoSettings, Number, Reject, Row,
    Semantic, Series, SeriesKey, Text, Usage, UsageMapper, UsageTable, export,
};

struct Plans {
    plan: FieldKey<Text>,
    arr: FieldKey<Decimal>,
}

impl FieldMapper for Plans {
    type Settings = NoSettings;

    fn open(table: &mut FieldTable<'_>, _: NoSettings) -> Result<Self, Fault> {
        for column in ["Account ID", "Plan", "ARR"] {
            table.column(column)?;
        }
        table.identify([Match::CrmId]);
        Ok(Self {
            plan: table.field(Field::text("plan").semantic(Semantic::Picklist)),
            arr: table.field(Field::currency("arr", 2).unit("EUR")),
        })
    }

    fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject> {
        let plan = Some(row["Plan"].trimmed()).filter(|plan| !plan.is_empty());
        let arr = row["ARR"].decimal_as(2, Number::ENGLISH)?;
        out.account(&row["Account ID"]).set(self.plan, plan).set(self.arr, arr);
        Ok(())
    }
}

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

export!(fields: Plans, usage: Logins);

#[cfg(test)]
mod tests {
    use gristmill_mapper::testing::{Sample, Value};

    use super::*;

    #[test]
    fn revenue_is_read_with_its_groups() {
        let sample = Sample::new(["Account ID", "Plan", "ARR"])
            .row(["0014K00001", "Enterprise", "48,000.50"])
            .row(["0014K00003", "Growth", "about 900"]);
        let mapped = sample.fields::<Plans>().unwrap();
        assert_eq!(mapped.records[0].fields["arr"], Value::Decimal(4_800_050, 2));
        assert_eq!((mapped.records.len(), mapped.issues[0].row), (1, 1));
    }

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
