/** A row of the table. */

import { Cell } from "./cell.js";

const BLANK = new Cell("");

/** A row. It may be kept beyond its batch, for `finish`. */
export class Row {
  #table;
  #cells;
  #place;

  /** Made by the table alone. */
  constructor(table, cells, place, number) {
    this.#table = table;
    this.#cells = cells;
    this.#place = place;
    /** The table-wide number of the row, from 0, the header not counted. */
    this.number = number;
  }

  /** The cell of a column that `open` asked for, by its name or its header index. */
  get(column) {
    const slot = this.#table.slot(column);
    if (slot === null) return BLANK;
    const cells = this.#cells[slot];
    return new Cell(cells.text(this.#place), cells.isTyped(this.#place), this.#table.wanted[slot]);
  }

  /** Refuses the row: it makes no record of either transform, and the reject file says why. */
  reject(code, message, column) {
    this.#table.output.issues.push(this.number, this.#table.indexOf(column), true, code, message);
  }

  /** Says that something of the row was left out or mended. */
  warn(code, message, column) {
    this.#table.output.issues.push(this.number, this.#table.indexOf(column), false, code, message);
  }

  /**
   * An account record, in a field mapper. @param {string | string[]} identifiers a value for each key of each strategy,
   * in their order; blank ones are none @param {Object<string, any>} fields values by field
   */
  account(identifiers, fields) {
    this.#table.account(this.number, identifiers, fields);
  }

  /**
   * A usage value, in a usage mapper; null and undefined are none. @param {object} series made by `series`
   * @param {string | string[]} identifiers as in `account` @param {number} date the row's own date
   * @param {{user?: string, periodStart?: number}} [more] the start must be given for a custom period
   */
  usage(series, identifiers, date, value, more) {
    this.#table.usage(this.number, series, identifiers, date, value, more);
  }
}
