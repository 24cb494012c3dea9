/** What the two transforms share: an open table, its columns and its issues. */

import { Unreadable } from "./cell.js";
import { bitmap, Cells, Texts } from "./columns.js";
import { Fault, faultOf, guarded } from "./fault.js";
import { Row } from "./row.js";

/** Issues of rows, as columns. */
class Issues {
  rows = [];
  columns = [];
  /** The places of those that reject their row. */
  rejects = [];
  codes = new Texts();
  messages = new Texts();

  push(row, column, isReject, code, message) {
    this.rows.push(row);
    this.columns.push(column);
    if (isReject) this.rejects.push(this.rows.length - 1);
    this.codes.push(code);
    this.messages.push(String(message));
  }

  get wire() {
    const { rows, columns, rejects, codes, messages } = this;
    return { rows, columns, rejects: bitmap(rows.length, rejects), codes: codes.wire, messages: messages.wire };
  }
}

/** An open table. Its heirs say what a batch of records is. */
export class Table {
  #slots = new Map();

  constructor(header, opened) {
    this.header = header;
    this.opened = opened;
    /** Header indices of the columns that cross the boundary. */
    this.wanted = [];
    this.identifiers = [opened.identifiers ?? []].flat().map((strategy) => [strategy].flat().map(matchKey));
    this.keys = this.identifiers.flat().length;
    for (const column of opened.columns ?? header.keys()) this.#want(column, true);
    for (const column of opened.optional ?? []) this.#want(column, false);
    this.begin();
  }

  #want(column, isRequired) {
    const index = typeof column === "number" ? column : this.header.indexOf(column);
    if (index < 0 || index >= this.header.length) {
      if (isRequired) throw new Fault("missing_column", `the table has no column \`${column}\``);
      this.#slots.set(column, null);
      return;
    }
    this.#slots.set(column, this.wanted.length);
    this.#slots.set(index, this.wanted.length);
    // Of two columns with one name, the name means the first.
    const name = this.header[index];
    if (!this.#slots.has(name)) this.#slots.set(name, this.wanted.length);
    this.wanted.push(index);
  }

  /** Where a column stands in a batch; null for an optional one that the table does not have. */
  slot(column) {
    const slot = this.#slots.get(column);
    if (slot === undefined) throw new TypeError(`\`${column}\` is not one of the columns that were asked for`);
    return slot;
  }

  /** The header index of a column by name, -1 for none. */
  indexOf(column) {
    if (column === undefined || column === null) return -1;
    return typeof column === "number" ? column : this.header.indexOf(column);
  }

  /** Begins a batch of records. */
  begin() {
    this.output = { issues: new Issues(), ...this.records() };
  }

  /** Ends the batch and returns it. */
  end() {
    const batch = { ...this.wire(), issues: this.output.issues.wire };
    this.begin();
    return batch;
  }

  map(batch) {
    const cells = batch.columns.map((column) => new Cells(column));
    for (let place = 0; place < batch.rows; place += 1) {
      const row = new Row(this, cells, place, batch.firstRow + place);
      try {
        this.opened.map(row);
      } catch (error) {
        if (!(error instanceof Unreadable)) throw faultOf(error, row.number);
        row.reject(error.code, error.message, error.column < 0 ? null : error.column);
      }
    }
    return this.end();
  }

  finish() {
    this.opened.finish?.();
    return this.end();
  }

  /** Pushes a value for each key of each strategy. */
  pushIdentifiers(columns, values) {
    const list = Array.isArray(values) ? values : [values];
    if (list.length !== this.keys) {
      throw new TypeError(`${list.length} identifiers are given for ${this.keys} keys`);
    }
    for (let key = 0; key < list.length; key += 1) columns[key].push(list[key]);
  }

  account() {
    throw new TypeError("a usage mapper makes no account records");
  }

  usage() {
    throw new TypeError("a field mapper makes no usage records");
  }
}

/** The contract's form of a name that configurations write with `_`. */
export const kebab = (name) => name.replaceAll("_", "-");

/** `"crm_id"`, `"domain"`, `"name"`, `"id"`, or `"field:KEY"` for a custom account field. */
function matchKey(key) {
  if (key.startsWith("field:")) return { tag: "field", val: key.slice("field:".length) };
  if (["crm_id", "domain", "name", "id"].includes(key)) return { tag: kebab(key) };
  throw new TypeError(`\`${key}\` is none of crm_id, domain, name, id and field:KEY`);
}

/** The functions of the contract that are the same for both transforms. */
export function transform({ settings: decode = (settings) => settings, open }, makeTable) {
  let table = null;

  // The author's own decoder names every problem; what it throws is one as well.
  const decoded = (text) => {
    const faults = [];
    let settings;
    try {
      settings = decode((text && JSON.parse(text)) || {}, (message, code = "settings") =>
        faults.push(new Fault(code, message)),
      );
    } catch (error) {
      faults.push(faultOf(error));
    }
    return { settings, faults };
  };

  return {
    check: (text) => decoded(text).faults.map((fault) => fault.wire),
    open: (source, header, text) =>
      guarded(() => {
        const { settings, faults } = decoded(text);
        if (faults.length > 0) throw faults[0];
        table = makeTable(header, open({ source, header, settings }));
        return table.layout;
      }),
    mapBatch: (batch) => guarded(() => table.map(batch)),
    finish: () =>
      guarded(() => {
        const batch = table.finish();
        table = null;
        return batch;
      }),
  };
}
