/** Product usage: usage records. */

import { Unreadable } from "./cell.js";
import { startOf } from "./day.js";
import { Table, transform } from "./table.js";
import { Column, TextColumn } from "./values.js";

/**
 * A product's metric, which `Row.usage` takes.
 *
 * @param {string} product
 * @param {string} metric
 * @param {object} type as a field's: `integer()`, `float()`, `decimal(2)`, `text()`, …
 * @param {object} [options] `aggregate`: how values of one account and period become one, `sum` unless said · `period`:
 *   `single`, `daily` (unless said), `weekly`, `monthly`, `quarterly`, `yearly`, or `{ custom: "name" }` · `unit` ·
 *   `repeat`: `replace` unless said, the newest object's value counts, or `add`, every object's does
 */
export function series(product, metric, type, options = {}) {
  const { aggregate = "sum", period = "daily", unit = null, repeat = "replace" } = options;
  const wire = {
    product,
    metric,
    unit,
    valueType: type.wire,
    aggregate,
    period: typeof period === "string" ? { tag: period } : { tag: "custom", val: period.custom },
    repeat,
  };
  return { wire, period };
}

class Usage extends Table {
  /** Places of the series announced so far, by what they say and, for speed, by the objects given. */
  #places = new Map();
  #known = new WeakMap();

  records() {
    return {
      rows: [],
      identifiers: Array.from({ length: this.keys }, () => new TextColumn()),
      user: this.opened.user ? new TextColumn() : null,
      dates: [],
      periodStarts: [],
      announced: [],
      blocks: new Map(),
      last: null,
    };
  }

  #place(series) {
    const known = this.#known.get(series);
    if (known !== undefined) return known;
    const says = JSON.stringify(series.wire);
    const place = this.#places.get(says) ?? this.#places.size;
    if (place === this.#places.size) {
      this.#places.set(says, place);
      this.output.announced.push(series.wire);
    }
    this.#known.set(series, place);
    return place;
  }

  usage(row, series, identifiers, date, value, { user = null, periodStart = null } = {}) {
    if (value === null || value === undefined) return;
    if (date === null || date === undefined) throw new Unreadable("no_date", "a usage value has no date", -1);
    const { output } = this;
    const start = periodStart ?? startOf(series.period, date);
    const entry = this.#entry(row, identifiers, user, date, start);
    const { valueType } = series.wire;
    const kind = `${valueType.tag}${valueType.val ?? ""}`;
    let block = output.blocks.get(kind);
    if (!block) {
      block = { entryOf: [], seriesOf: [], values: new Column(valueType, `the metric \`${series.wire.metric}\``) };
      output.blocks.set(kind, block);
    }
    block.values.push(value);
    block.entryOf.push(entry);
    block.seriesOf.push(this.#place(series));
  }

  /** The entry of a row, an account, a user and a time; values of one row that share them share the entry. */
  #entry(row, identifiers, user, date, start) {
    const { output } = this;
    const { last } = output;
    const given = Array.isArray(identifiers) ? identifiers : [identifiers];
    const isSame =
      last !== null &&
      last.row === row &&
      last.date === date &&
      last.start === start &&
      last.user === user &&
      last.given.every((value, key) => value === given[key]);
    if (!isSame) {
      if (!Number.isSafeInteger(date) || !Number.isSafeInteger(start)) {
        throw new TypeError(`a usage value has the date ${date} and the period's start ${start}`);
      }
      this.pushIdentifiers(output.identifiers, given);
      output.user?.push(user);
      output.rows.push(row);
      output.dates.push(date);
      output.periodStarts.push(start);
      output.last = { row, given, user, date, start };
    }
    return output.rows.length - 1;
  }

  wire() {
    const { rows, identifiers, user, dates, periodStarts, announced, blocks } = this.output;
    return {
      rows,
      identifiers: identifiers.map((column) => column.wire),
      user: user?.wire ?? null,
      dates,
      periodStarts,
      announced,
      blocks: Array.from(blocks.values(), (block) => ({ ...block, values: block.values.wire })),
    };
  }

  get layout() {
    return { wanted: this.wanted, identifiers: this.identifiers, user: this.opened.user ?? null };
  }
}

/**
 * The functions of `product-usage`; export them as `productUsage`. As `fieldMapper`, but `open` returns no `fields`, and
 * `user` where usage is kept by user: `id`, `email` or `name`.
 */
export function usageMapper(definition) {
  return transform(definition, (header, opened) => new Usage(header, opened));
}
