"""Account records, the plan and the yearly revenue of an account, and usage records, its logins by month."""

from gristmill import FieldMapper, Series, UsageMapper, decimal, integer, text


class FieldMapping(FieldMapper):
    columns = ["Account ID", "Plan", "ARR"]
    identifiers = "crm_id"
    fields = {
        "plan": text(semantic="picklist"),
        "arr": decimal(2, semantic="currency", unit="EUR"),
    }

    def map(self, row):
        plan, arr = row["Plan"].trimmed(), row["ARR"].decimal(2, group=",")
        row.account(row["Account ID"].trimmed(), {"plan": plan, "arr": arr})


LOGINS = Series("Core", "logins", integer(), period="monthly")


class ProductUsage(UsageMapper):
    columns = ["Account ID", "Day", "Logins"]
    identifiers = "crm_id"

    def map(self, row):
        day = row["Day"].date()
        row.usage(LOGINS, row["Account ID"].trimmed(), day, row["Logins"].integer())
