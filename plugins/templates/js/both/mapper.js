/** Account records, the plan and the yearly revenue of an account, and usage records, its logins by month. */

import { decimal, fieldMapper, integer, series, text, usageMapper } from "./sdk/gristmill.js";

export const fieldMapping = fieldMapper({
  open: () => ({
    columns: ["Account ID", "Plan", "ARR"],
    identifiers: "crm_id",
    fields: {
      plan: text({ semantic: "picklist" }),
      arr: decimal(2, { semantic: "currency", unit: "EUR" }),
    },
    map(row) {
      const plan = row.get("Plan").trimmed();
      const arr = row.get("ARR").decimal(2, { group: "," });
      row.account(row.get("Account ID").trimmed(), { plan, arr });
    },
  }),
});

const logins = series("Core", "logins", integer(), { period: "monthly" });

export const productUsage = usageMapper({
  open: () => ({
    columns: ["Account ID", "Day", "Logins"],
    identifiers: "crm_id",
    map(row) {
      const day = row.get("Day").date();
      row.usage(logins, row.get("Account ID").trimmed(), day, row.get("Logins").integer());
    },
  }),
});
