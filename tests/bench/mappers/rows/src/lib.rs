//! A small mapper, row by row: an identifier, a text and a whole number. `columns` is the same without the SDK.

use gristmill_mapper::{
    Accounts, Fault, Field, FieldKey, FieldMapper, FieldTable, Integer, Match, NoSettings, Reject, Row, Text, export,
};

struct Rows {
    plan: FieldKey<Text>,
    users: FieldKey<Integer>,
}

impl FieldMapper for Rows {
    type Settings = NoSettings;

    fn open(table: &mut FieldTable<'_>, _: NoSettings) -> Result<Self, Fault> {
        for column in ["Account ID", "Plan", "Users"] {
            table.column(column)?;
        }
        table.identify([Match::CrmId]);
        Ok(Self { plan: table.field(Field::text("plan")), users: table.field(Field::integer("users")) })
    }

    fn map(&mut self, row: &Row<'_>, out: &mut Accounts) -> Result<(), Reject> {
        let users = row["Users"].integer()?;
        out.account(&row["Account ID"]).set(self.plan, row["Plan"].text()).set(self.users, users);
        Ok(())
    }
}

export!(fields: Rows);
