"""Account records: the plan and the yearly revenue of an account."""

from gristmill import FieldMapper, decimal, text


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
