import assert from "node:assert/strict";
import test from "node:test";
import * as sdk from "./gristmill.js";
import { bitmap, bitOf, Cells, Texts } from "./columns.js";
import { Column } from "./values.js";

const { Cell, fieldMapper, series, usageMapper } = sdk;

/** A batch as the host hands it over. */
function batch(firstRow, rows, typed) {
  const columns = (rows[0] ?? []).map((_, column) => {
    const texts = new Texts();
    for (const row of rows) texts.push(row[column]);
    return { text: texts.wire, typed: typed ?? null };
  });
  return { firstRow, rows: rows.length, columns };
}

/** The strings of a text on its way out; null where the validity says so. */
function strings({ text, validity }) {
  const cells = new Cells({ text });
  const isThere = (row) => !validity || ((validity[row >> 3] >> (row & 7)) & 1) === 1;
  return text.offsets.slice(1).map((_, row) => (isThere(row) ? cells.text(row) : null));
}

const SOURCE = { key: "a.csv", today: 20_000 };

test("text survives both ways across the boundary", () => {
  const texts = ["", "plain", "Ünïcödé €", "日本", "🦀 crab", "a\ud800b"];
  const out = new Texts();
  for (const text of texts) out.push(text);
  assert.deepEqual(strings({ text: out.wire }), [...texts.slice(0, -1), "a\ufffdb"]);
  assert.deepEqual([...out.wire.bytes.subarray(5, 7)], [...new TextEncoder().encode("Ü")]);
});

test("bitmaps begin with the least significant bit", () => {
  assert.deepEqual([...bitmap(10, [0, 9])], [0b1, 0b10]);
  assert.deepEqual(
    [0, 1, 9].map((row) => bitOf(bitmap(10, [1], true), row)),
    [true, false, true],
  );
  const column = new Column(sdk.boolean().wire, "it");
  for (const value of [true, null, false, true]) column.push(value);
  assert.deepEqual(column.wire.values.val, new Uint8Array([0b1001]));
  assert.equal(column.wire.validity[0] & 0b1111, 0b1101);
});

test("cells read as they are told to, and nothing is guessed", () => {
  const check = (text, read, expected) => assert.equal(read(new Cell(text, false, 3)), expected, text);
  const wrong = (text, read, code) =>
    assert.throws(
      () => read(new Cell(text, false, 3)),
      (error) => error.code === code && error.column === 3,
      text,
    );
  const german = { decimal: ",", group: "." };
  check("", (cell) => cell.number(), null);
  check(" 1.5 ", (cell) => cell.number(), 1.5);
  check("-1.234,50", (cell) => cell.number(german), -1234.5);
  wrong("1.23,4", (cell) => cell.number(german), "not_a_number");
  wrong("1,5", (cell) => cell.number(), "not_a_number");
  wrong("0x10", (cell) => cell.number(), "not_a_number");
  wrong("Infinity", (cell) => cell.number(), "not_a_number");
  check("7", (cell) => cell.integer(), 7);
  wrong("7.5", (cell) => cell.integer(), "not_an_integer");
  check("1.005", (cell) => cell.decimal(3), 1005);
  check("-.5", (cell) => cell.decimal(2), -50);
  check("12.500", (cell) => cell.decimal(2), 1250);
  wrong("12.345", (cell) => cell.decimal(2), "too_many_decimals");
  check("Yes", (cell) => cell.boolean({ yes: ["yes"], no: ["no"] }), true);
  wrong("maybe", (cell) => cell.boolean(), "not_a_boolean");
  check("2024-10-15", (cell) => cell.date(), 20_011);
  check("15.10.2024", (cell) => cell.date("%d.%m.%Y"), 20_011);
  wrong("31.02.2024", (cell) => cell.date("%d.%m.%Y"), "bad_date");
  wrong("10/15/2024", (cell) => cell.date("%d/%m/%Y"), "bad_date");
  wrong("2024-10-15T00:00", (cell) => cell.date(), "bad_date");
  assert.deepEqual(new Cell('{"a":[1]}').json(), { a: [1] });
  wrong("{", (cell) => cell.json(), "not_json");
  assert.equal(new Cell("2024-10-15T08:00:00", true).date("%d.%m.%Y"), 20_011);
  assert.equal(new Cell("1234.56", true).number(german), 1234.56);
});

test("periods begin where they should", () => {
  const day = sdk.dayOf(2024, 10, 16);
  const starts = ["daily", "weekly", "monthly", "quarterly", "yearly"].map((period) => sdk.startOf(period, day));
  assert.deepEqual(starts, [day, day - 2, day - 15, day - 15, sdk.dayOf(2024, 1, 1)]);
  assert.equal(sdk.startOf("weekly", 0), -3);
  assert.equal(sdk.dayOf(2023, 2, 29), null);
});

test("a field mapper returns columns, and rejects what does not read", () => {
  const fieldMapping = fieldMapper({
    settings(raw, problem) {
      if (raw.tier && typeof raw.tier !== "string") problem("`tier` is text");
      return { tier: "basic", ...raw };
    },
    open: ({ settings }) => ({
      columns: ["Id", "ARR"],
      optional: ["Since"],
      identifiers: ["crm_id", ["name", "field:region"]],
      fields: {
        arr: sdk.decimal(2, { semantic: "currency", unit: "EUR" }),
        tier: sdk.text(),
        tags: sdk.textList({ write: "append" }),
      },
      map(row) {
        const arr = row.get("ARR").decimal(2);
        if (arr < 0) row.warn("negative", "ARR is below zero", "ARR");
        row.account([row.get("Id").text, "", null], {
          arr,
          tier: arr === 0 ? sdk.CLEAR : settings.tier,
          tags: ["a", "b"],
        });
        assert.equal(row.get("Since").date(), null);
      },
    }),
  });
  assert.deepEqual(
    fieldMapping.check('{"tier":1}').map((fault) => fault.code),
    ["settings"],
  );
  assert.deepEqual(fieldMapping.check("{}"), []);
  assert.throws(
    () => fieldMapping.open(SOURCE, ["Id"], "{}"),
    (fault) => fault.code === "missing_column",
  );
  const layout = fieldMapping.open(SOURCE, ["ARR", "Else", "Id"], "null");
  assert.deepEqual(layout.wanted, [2, 0]);
  assert.deepEqual(layout.identifiers, [[{ tag: "crm-id" }], [{ tag: "name" }, { tag: "field", val: "region" }]]);
  assert.deepEqual(layout.fields[0], {
    name: "arr",
    valueType: { tag: "decimal", val: 2 },
    semantic: "currency",
    unit: "EUR",
    writeMode: "overwrite",
  });
  const mapped = fieldMapping.mapBatch(
    batch(7, [
      ["1", "12.5"],
      ["2", "x"],
      ["3", "0"],
      ["4", "-1"],
    ]),
  );
  assert.deepEqual(mapped.rows, [7, 9, 10]);
  assert.deepEqual(mapped.identifiers.map(strings), [
    ["1", "3", "4"],
    [null, null, null],
    [null, null, null],
  ]);
  assert.deepEqual(mapped.fields[0].column, { values: { tag: "decimal", val: [1250, 0, -100] }, validity: null });
  assert.deepEqual(strings({ text: mapped.fields[1].column.values.val, validity: mapped.fields[1].column.validity }), [
    "basic",
    null,
    "basic",
  ]);
  assert.deepEqual([...mapped.fields[1].clear], [0b010]);
  assert.deepEqual(mapped.fields[2].column.values.val.offsets, [0, 2, 4, 6]);
  assert.deepEqual([mapped.issues.rows, mapped.issues.columns, [...mapped.issues.rejects]], [[8, 10], [0, 0], [0b01]]);
  assert.deepEqual(strings({ text: mapped.issues.messages }), ["`x` is not a number", "ARR is below zero"]);
  assert.deepEqual(fieldMapping.finish().rows, []);
});

test("a mapper that stumbles names its row", () => {
  const broken = (map) => {
    const mapper = fieldMapper({ open: () => ({ identifiers: ["id"], fields: { a: sdk.integer() }, map }) });
    mapper.open(SOURCE, ["Id"], "{}");
    try {
      mapper.mapBatch(batch(5, [["1"]]));
    } catch (fault) {
      return [fault.code, fault.row, fault.message];
    }
    return null;
  };
  assert.deepEqual(
    broken((row) => row.missing()),
    ["mapper_error", 5, "TypeError: row.missing is not a function"],
  );
  assert.equal(broken((row) => row.account("1", { b: 1 }))[2], "TypeError: the layout has no field `b`");
  assert.equal(
    broken((row) => row.account("1", { a: 1.5 }))[2],
    "TypeError: the field `a` takes values of the type integer, and 1.5 is none",
  );
  assert.equal(broken((row) => row.account(["1", "2"], {}))[2], "TypeError: 2 identifiers are given for 1 keys");
  assert.equal(broken((row) => row.get("Else"))[2], "TypeError: `Else` is not one of the columns that were asked for");
});

test("a value without a date rejects its row", () => {
  const metric = series("P", "m", sdk.integer());
  const mapper = usageMapper({
    open: () => ({ identifiers: "id", map: (row) => row.usage(metric, "1", row.get("Day").date(), 1) }),
  });
  mapper.open(SOURCE, ["Day"], "");
  assert.deepEqual(strings({ text: mapper.mapBatch(batch(0, [[""]])).issues.codes }), ["no_date"]);
});

test("a usage mapper announces each series once, and values of one row share an entry", () => {
  const productUsage = usageMapper({
    open: () => {
      const held = [];
      return {
        columns: ["Id", "Day", "Logins", "Note"],
        identifiers: "crm_id",
        user: "email",
        map(row) {
          const day = row.get("Day").date();
          const who = { user: "ada@acme.com" };
          const monthly = series("Core", "logins", sdk.integer(), { period: "monthly", unit: "logins" });
          row.usage(monthly, row.get("Id").text, day, row.get("Logins").integer(), who);
          row.usage(
            series("Core", "note", sdk.text(), { period: "monthly", aggregate: "last" }),
            row.get("Id").text,
            day,
            row.get("Note").trimmed(),
            who,
          );
          held.push(row);
        },
        finish() {
          for (const row of held)
            row.usage(
              series("Core", "rows", sdk.integer(), { period: { custom: "p" } }),
              row.get("Id").text,
              row.get("Day").date(),
              1,
              { periodStart: 0 },
            );
        },
      };
    },
  });
  assert.deepEqual(productUsage.open(SOURCE, ["Id", "Day", "Logins", "Note"], ""), {
    wanted: [0, 1, 2, 3],
    identifiers: [[{ tag: "crm-id" }]],
    user: "email",
  });
  const first = productUsage.mapBatch(
    batch(0, [
      ["1", "2024-10-15", "3", "x"],
      ["2", "2024-10-16", "", ""],
    ]),
  );
  assert.deepEqual([first.rows, first.dates, first.periodStarts], [[0], [20_011], [19_997]]);
  assert.deepEqual(
    first.announced.map(({ metric, period }) => [metric, period.tag]),
    [
      ["logins", "monthly"],
      ["note", "monthly"],
    ],
  );
  assert.deepEqual(
    first.blocks.map(({ entryOf, seriesOf }) => [entryOf, seriesOf]),
    [
      [[0], [0]],
      [[0], [1]],
    ],
  );
  assert.deepEqual(strings(first.user), ["ada@acme.com"]);
  const second = productUsage.mapBatch(batch(2, [["1", "2024-11-15", "4", ""]]));
  assert.deepEqual([second.announced, second.blocks[0].seriesOf], [[], [0]]);
  const last = productUsage.finish();
  assert.deepEqual(
    [last.rows, last.announced[0].period, last.blocks[0].seriesOf],
    [[0, 1, 2], { tag: "custom", val: "p" }, [2, 2, 2]],
  );
});
