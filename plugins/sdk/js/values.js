/** The types of values, and the columns that hold them. */

import { bitmap, Texts } from "./columns.js";

/** Given for a field's value, it erases what is stored; null and undefined leave that as it is. */
export const CLEAR = Symbol("clear");

const type = (tag, val) => (val === undefined ? { tag } : { tag, val });

// A type of the contract, and what a field says beyond it: `semantic`, `unit` and `write`. Usage ignores those.
const make =
  (wire) =>
  (options = {}) => ({ wire, options });

/** Strings. @param {{semantic?: "plain" | "long_text" | "picklist" | "url" | "email" | "user", write?: "overwrite" | "if_empty"}} [options] */
export const text = make(type("text"));
/** Whole numbers up to 2^53. */
export const integer = make(type("integer"));
/** Any numbers. @param {{semantic?: "plain" | "percent", write?: "overwrite" | "if_empty"}} [options] */
export const float = make(type("float"));
/** `true` and `false`. */
export const boolean = make(type("boolean"));
/** Days since 1970-01-01. */
export const date = make(type("date"));
/** Milliseconds since 1970-01-01T00:00:00Z, as `Date` counts them. */
export const timestamp = make(type("timestamp"));
/** Arrays of strings. @param {{semantic?: "plain" | "picklist", write?: "overwrite" | "if_empty" | "append"}} [options] */
export const textList = make(type("text-list"));
/**
 * Exact decimals, given in units of their last place (`Cell.decimal` reads them): with a scale of 2, 1250 is 12.50.
 * @param {number} scale 0 to 18 @param {{semantic?: "plain" | "currency" | "percent", unit?: string}} [options]
 */
export const decimal = (scale, options = {}) => ({ wire: type("decimal", scale), options });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isDay = (value) => Number.isSafeInteger(value) && value >= -719_162 && value < 2_932_897;

/** What a value must be, by type. */
const FITS = {
  text: (value) => typeof value === "string",
  integer: Number.isSafeInteger,
  float: isNumber,
  decimal: Number.isSafeInteger,
  boolean: (value) => typeof value === "boolean",
  date: isDay,
  timestamp: (value) => isNumber(value) && isDay(Math.floor(value / 86_400_000)),
  "text-list": (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
};

/** What stands where there is no value. */
const NOTHING = { text: "", boolean: false, "text-list": [] };

/** Values of one type, some of which may be missing. */
export class Column {
  #count = 0;
  /** The places of those that are missing. */
  #missing = [];

  constructor(wireType, what) {
    this.tag = wireType.tag;
    this.what = what;
    this.fits = FITS[this.tag];
    this.values = this.tag.startsWith("text") ? new Texts() : [];
    // Where the lists end among the items.
    this.ends = [0];
  }

  /** Adds a value; null and undefined are none. */
  push(value) {
    const isThere = value !== null && value !== undefined;
    if (isThere && !this.fits(value)) {
      throw new TypeError(`${this.what} takes values of the type ${this.tag}, and ${String(value)} is none`);
    }
    if (!isThere) this.#missing.push(this.#count);
    const present = isThere ? value : (NOTHING[this.tag] ?? 0);
    if (this.tag === "text-list") {
      for (const item of present) this.values.push(item);
      this.ends.push(this.values.offsets.length - 1);
    } else if (this.tag === "timestamp") {
      this.values.push(Math.round(present * 1000));
    } else if (this.tag === "boolean") {
      // The places of those that are true.
      if (present) this.values.push(this.#count);
    } else {
      this.values.push(present);
    }
    this.#count += 1;
  }

  get wire() {
    const validity = this.#missing.length > 0 ? bitmap(this.#count, this.#missing, true) : null;
    return { values: { tag: this.tag, val: this.#wireValues() }, validity };
  }

  #wireValues() {
    if (this.tag === "text-list") return { offsets: this.ends, items: this.values.wire };
    if (this.tag === "boolean") return bitmap(this.#count, this.values);
    return this.tag === "text" ? this.values.wire : this.values;
  }
}

/** A column of strings that name accounts or users; blank ones are none. */
export class TextColumn {
  #missing = [];
  #count = 0;
  #texts = new Texts();

  push(value) {
    const isThere = value !== null && value !== undefined && value !== "";
    if (!isThere) this.#missing.push(this.#count);
    this.#texts.push(isThere ? String(value) : "");
    this.#count += 1;
  }

  get wire() {
    const validity = this.#missing.length > 0 ? bitmap(this.#count, this.#missing, true) : null;
    return { text: this.#texts.wire, validity };
  }
}
