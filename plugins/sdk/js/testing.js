/** Runs a mapper without a host: a whole table in one batch, and what came of it as plain values. */

import { bitOf, Cells, Texts } from "./columns.js";

const SOURCE = {
  integration: "example",
  connection: "example",
  bucket: "exports",
  key: "sample.csv",
  etag: "0",
  size: 0,
  lastModified: 0,
  sheet: null,
  timezone: "UTC",
  today: 0,
};

/** Strings as the contract has them. */
function textOf(strings) {
  const texts = new Texts();
  for (const string of strings) texts.push(string);
  return texts.wire;
}

/** The strings of a text. */
function strings(text) {
  const cells = new Cells({ text });
  return Array.from({ length: text.offsets.length - 1 }, (_, row) => cells.text(row));
}

const isThere = (validity, row) => !validity || bitOf(validity, row);

/** Values with null where there are none. */
function valuesOf({ values: { tag, val }, validity }, count) {
  const items = tag === "text-list" ? strings(val.items) : tag === "text" ? strings(val) : val;
  const value = (row) => {
    if (tag === "text-list") return items.slice(val.offsets[row], val.offsets[row + 1]);
    return tag === "boolean" ? bitOf(val, row) : items[row];
  };
  return Array.from({ length: count }, (_, row) => (isThere(validity, row) ? value(row) : null));
}

const named = ({ text, validity }) => strings(text).map((value, row) => (isThere(validity, row) ? value : null));

/**
 * @param {object} mapper `fieldMapping` or `productUsage`
 * @param {{header: string[], rows: string[][], settings?: object, source?: object}} table
 * @returns {{accounts: object[], usage: object[], issues: object[]}} records of rows that were not rejected; a fault is
 *   thrown, as `{ code, message, row, column }`
 */
export function rehearse(mapper, { header, rows, settings = {}, source = {} }) {
  const layout = mapper.open({ ...SOURCE, ...source }, header, JSON.stringify(settings));
  const columns = layout.wanted.map((index) => ({ text: textOf(rows.map((row) => row[index])), typed: null }));
  const batches = [mapper.mapBatch({ firstRow: 0, rows: rows.length, columns }), mapper.finish()];
  const issues = batches.flatMap((batch) => issuesOf(batch.issues, header));
  const rejected = new Set(issues.filter((issue) => issue.reject).map((issue) => issue.row));
  const announced = [];
  const records = { accounts: [], usage: [] };
  for (const batch of batches) {
    if (layout.fields) records.accounts.push(...accountsOf(batch, layout));
    else records.usage.push(...usageOf(batch, announced));
  }
  const taken = ({ row }) => !rejected.has(row);
  return { accounts: records.accounts.filter(taken), usage: records.usage.filter(taken), issues };
}

function issuesOf({ rows, columns, rejects, codes, messages }, header) {
  const [code, message] = [strings(codes), strings(messages)];
  return rows.map((row, issue) => ({
    row,
    column: columns[issue] < 0 ? null : header[columns[issue]],
    reject: bitOf(rejects, issue),
    code: code[issue],
    message: message[issue],
  }));
}

function accountsOf({ rows, identifiers, fields }, layout) {
  const keys = identifiers.map(named);
  const columns = fields.map(({ column }) => valuesOf(column, rows.length));
  return rows.map((row, record) => ({
    row,
    identifiers: keys.map((key) => key[record]),
    // A field that is to be erased is null, one that is to be kept is not there.
    fields: Object.fromEntries(
      layout.fields
        .map(({ name }, field) => [name, columns[field][record], fields[field].clear])
        .filter(([, value, clear]) => value !== null || (clear && bitOf(clear, record))),
    ),
  }));
}

function usageOf(batch, announced) {
  announced.push(...batch.announced);
  const keys = batch.identifiers.map(named);
  const users = batch.user && named(batch.user);
  return batch.blocks.flatMap(({ entryOf, seriesOf, values }) => {
    const items = valuesOf(values, entryOf.length);
    return entryOf.map((entry, place) => ({
      row: batch.rows[entry],
      identifiers: keys.map((key) => key[entry]),
      ...(users && { user: users[entry] }),
      date: batch.dates[entry],
      periodStart: batch.periodStarts[entry],
      product: announced[seriesOf[place]].product,
      metric: announced[seriesOf[place]].metric,
      value: items[place],
    }));
  });
}
