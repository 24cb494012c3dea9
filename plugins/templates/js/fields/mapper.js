/** Account records: the plan and the yearly revenue of an account. */

import { decimal, fieldMapper, text } from "./sdk/gristmill.js";

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
