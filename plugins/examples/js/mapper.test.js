import assert from "node:assert/strict";
import test from "node:test";

import { fieldMapping, productUsage } from "./mapper.js";
import { rehearse } from "./sdk/testing.js";

const table = (...cells) => ({
  header: ["Account ID", "Attributes"],
  rows: cells.map((cell, row) => [`${row}`, cell]),
});

test("contacts are a list, whether one is given or several", () => {
  const { accounts } = rehearse(
    fieldMapping,
    table('{"contacts": "a@x"}', '{"contacts": [{"email": "b@x"}, "c@x"], "seats": 2}', ""),
  );
  assert.deepEqual(accounts, [
    { row: 0, identifiers: ["0"], fields: { contacts: ["a@x"] } },
    { row: 1, identifiers: ["1"], fields: { seats: 2, contacts: ["b@x", "c@x"] } },
  ]);
});

test("each month's counts are usage values of that month", () => {
  const { usage, issues } = rehearse(productUsage, {
    ...table(
      '{"usage": [{"month": "2024-10", "logins": 5, "exports": 1}]}',
      '{"usage": [{"month": "2024-13", "logins": 5}]}',
      "[]",
    ),
    settings: { product: "Suite" },
  });
  const value = { row: 0, identifiers: ["0"], date: 19_997, periodStart: 19_997, product: "Suite" };
  assert.deepEqual(usage, [
    { ...value, metric: "logins", value: 5 },
    { ...value, metric: "exports", value: 1 },
  ]);
  assert.deepEqual(
    issues.map(({ row, code }) => [row, code]),
    [
      [1, "bad_month"],
      [2, "not_an_object"],
    ],
  );
});

test("unknown settings are named", () => {
  assert.deepEqual(
    fieldMapping.check('{"produkt": "Suite"}').map((fault) => fault.message),
    ["there is no setting `produkt`"],
  );
});
