"""Usage records: the logins of an account, summed up by month."""

from gristmill import Series, UsageMapper, integer

LOGINS = Series("Core", "logins", integer(), period="monthly")


class ProductUsage(UsageMapper):
    columns = ["Account ID", "Day", "Logins"]
    identifiers = "crm_id"

    def map(self, row):
        day = row["Day"].date()
        row.usage(LOGINS, row["Account ID"].trimmed(), day, row["Logins"].integer())
