/**
 * An export whose column `Attributes` holds a JSON document per account: its plan, its seats, who to write to, and a
 * list of monthly counts that has no columns of its own. Settings name the product of the counts:
 * `{ "product": "Core" }`.
 */

import { dayOf, fieldMapper, integer, series, text, textList, usageMapper } from "./sdk/gristmill.js";

const COLUMNS = ["Account ID", "Attributes"];

function settings(raw, problem) {
  const { product = "Core", ...rest } = raw;
  if (typeof product !== "string" || product === "") problem("`product` is the name of a product");
  for (const key of Object.keys(rest)) problem(`there is no setting \`${key}\``);
  return { product };
}

/** The document of a row; null where the cell is blank. */
function attributes(row) {
  const cell = row.get("Attributes");
  const document = cell.json();
  if (document !== null && (typeof document !== "object" || Array.isArray(document))) {
    cell.fail("not_an_object", "is not a JSON object");
  }
  return document;
}

export const fieldMapping = fieldMapper({
  settings,
  open: () => ({
    columns: COLUMNS,
    identifiers: "crm_id",
    fields: {
      plan: text({ semantic: "picklist" }),
      seats: integer(),
      contacts: textList({ write: "append" }),
    },
    map(row) {
      const document = attributes(row);
      if (document === null) return;
      const { plan, seats, contacts = [] } = document;
      if (seats !== undefined && !Number.isSafeInteger(seats)) {
        row.reject("seats", `\`seats\` is ${JSON.stringify(seats)}, which is not a whole number`, "Attributes");
        return;
      }
      // Some say `"contacts": "ada@acme.com"`, others give a list of objects.
      const addresses = [contacts].flat().map((contact) => contact.email ?? contact);
      row.account(row.get("Account ID").trimmed(), { plan, seats, contacts: addresses });
    },
  }),
});

/** The first day of a month as `2024-10`. */
function monthOf(cell, word) {
  const [, year, month] = /^(\d{4})-(\d{2})$/.exec(word) ?? [];
  return dayOf(Number(year), Number(month), 1) ?? cell.fail("bad_month", `names the month \`${word}\``);
}

export const productUsage = usageMapper({
  settings,
  open({ settings: { product } }) {
    return {
      columns: COLUMNS,
      identifiers: "crm_id",
      map(row) {
        const cell = row.get("Attributes");
        for (const { month, ...counts } of attributes(row)?.usage ?? []) {
          const day = monthOf(cell, month);
          for (const [metric, count] of Object.entries(counts)) {
            if (!Number.isSafeInteger(count))
              cell.fail("count", `has a count \`${metric}\` that is not a whole number`);
            row.usage(
              series(product, metric, integer(), { period: "monthly" }),
              row.get("Account ID").trimmed(),
              day,
              count,
            );
          }
        }
      },
    };
  },
});
