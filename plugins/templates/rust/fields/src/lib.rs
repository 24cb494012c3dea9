//! Account records: the plan and the yearly revenue of an account.

use gristmill_mapper::{
    Accounts, Decimal, Fault, Field, FieldKey, FieldMapper, FieldTable, Match, NoSettings, Number, Reject, Row, Semantic,
    Text, export,
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

export!(fields: Plans);

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
}
