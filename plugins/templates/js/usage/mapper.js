/** Usage records: the logins of an account, summed up by month. */

import { integer, series, usageMapper } from "./sdk/gristmill.js";

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
