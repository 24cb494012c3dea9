/** Field mapping: account records. */

import { bitmap } from "./columns.js";
import { kebab, Table, transform } from "./table.js";
import { CLEAR, Column, TextColumn } from "./values.js";

/** One field's values in a batch. */
class FieldColumn {
  #count = 0;
  /** The places of those that are to be erased. */
  #clear = [];

  constructor(name, wireType) {
    this.column = new Column(wireType, `the field \`${name}\``);
  }

  push(value) {
    if (value === CLEAR) this.#clear.push(this.#count);
    this.column.push(value === CLEAR ? null : value);
    this.#count += 1;
  }

  get wire() {
    const clear = this.#clear.length > 0 ? bitmap(this.#count, this.#clear) : null;
    return { column: this.column.wire, clear };
  }
}

class Accounts extends Table {
  records() {
    const fields = Object.entries(this.opened.fields ?? {});
    return {
      rows: [],
      identifiers: Array.from({ length: this.keys }, () => new TextColumn()),
      fields: new Map(fields.map(([name, { wire }]) => [name, new FieldColumn(name, wire)])),
    };
  }

  account(row, identifiers, values) {
    const { output } = this;
    for (const name in values) {
      if (!output.fields.has(name)) throw new TypeError(`the layout has no field \`${name}\``);
    }
    this.pushIdentifiers(output.identifiers, identifiers);
    for (const [name, column] of output.fields) column.push(values[name]);
    output.rows.push(row);
  }

  wire() {
    const { rows, identifiers, fields } = this.output;
    return {
      rows,
      identifiers: identifiers.map((column) => column.wire),
      fields: Array.from(fields.values(), (column) => column.wire),
    };
  }

  get layout() {
    const field = ([name, { wire, options }]) => ({
      name,
      valueType: wire,
      semantic: kebab(options.semantic ?? "plain"),
      unit: options.unit ?? null,
      writeMode: kebab(options.write ?? "overwrite"),
    });
    return {
      wanted: this.wanted,
      identifiers: this.identifiers,
      fields: Object.entries(this.opened.fields ?? {}).map(field),
    };
  }
}

/**
 * The functions of `field-mapping`; export them as `fieldMapping`.
 *
 * @param {object} definition
 * @param {(raw: object, problem: (message: string, code?: string) => void) => any} [definition.settings] makes the
 *   mapper's own settings of the JSON, naming every problem
 * @param {(table: {source: object, header: string[], settings: any}) => object} definition.open begins a table and
 *   returns `columns` (names or header indices; all unless said), `optional` (those that may be missing), `identifiers`
 *   (strategies in order: a key, or several keys together), `fields` (types by name), `map(row)`, and `finish()` where
 *   rows are held back
 */
export function fieldMapper(definition) {
  return transform(definition, (header, opened) => new Accounts(header, opened));
}
