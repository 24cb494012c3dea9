/** A source cell and the ways to read it. */

import { dayOf } from "./day.js";

/** A cell that does not read as it should. Not caught, it rejects its row and names the column. */
export class Unreadable extends Error {
  /** @param {string} code @param {string} message @param {number} column the header index */
  constructor(code, message, column) {
    super(message);
    this.name = "Unreadable";
    this.code = code;
    this.column = column;
  }
}

/**
 * One cell. Every reader gives null for a blank cell and throws `Unreadable` for one that does not read. Locale and
 * format options do not apply to a cell that a workbook typed itself: its text is canonical.
 */
export class Cell {
  /** @param {string} text @param {boolean} typed @param {number} column the header index, -1 where there is none */
  constructor(text, typed = false, column = -1) {
    this.text = text;
    this.typed = typed;
    this.column = column;
  }

  /** Whether there is nothing but white space in it. */
  get isBlank() {
    return this.text.trim() === "";
  }

  /** The text without white space round it, or null. */
  trimmed() {
    return this.text.trim() || null;
  }

  /**
   * A number. @param {{decimal?: string, group?: string}} [locale] how numbers are written: `.` and no groups unless said
   * @returns {number | null}
   */
  number(locale) {
    const plain = this.#plain(locale);
    return plain === null ? null : Number(plain);
  }

  /** A whole number, at most 2^53. @returns {number | null} */
  integer(locale) {
    const number = this.number(locale);
    if (number !== null && !Number.isSafeInteger(number)) this.fail("not_an_integer", "is not a whole number");
    return number;
  }

  /**
   * An exact decimal, in units of its last place: with a scale of 2, `12.5` is 1250. That is what a `decimal(2)` field
   * takes. Digits beyond the scale do not read, for rounding is a decision. @returns {number | null}
   */
  decimal(scale, locale) {
    const plain = this.#plain(locale);
    if (plain === null) return null;
    const [, sign, whole, fraction = "", exponent] = /^([-+]?)(\d*)\.?(\d*)(e.*)?$/i.exec(plain);
    const beyond = fraction.slice(scale);
    const units = Number(`${sign}${whole}${fraction.slice(0, scale).padEnd(scale, "0")}`);
    // `1e3` reads as a number, but does not say how exact it is.
    if (exponent || /[1-9]/.test(beyond) || !Number.isSafeInteger(units)) {
      this.fail("too_many_decimals", `is not a number with at most ${scale} digits after the point`);
    }
    return units;
  }

  /** The number with `.` for decimals and no groups. */
  #plain({ decimal = ".", group = "" } = {}) {
    let text = this.text.trim();
    if (text === "") return null;
    if (!this.typed) {
      if (group) {
        const [whole, ...rest] = text.split(decimal);
        const groups = whole.split(group);
        if (groups.length > 1) {
          const first = groups[0].replace(/^[-+]/, "");
          const fits = /^\d{1,3}$/.test(first) && groups.slice(1).every((digits) => /^\d{3}$/.test(digits));
          if (!fits) this.fail("not_a_number", "is not a number");
        }
        text = [groups.join(""), ...rest].join(decimal);
      }
      if (decimal !== ".") {
        if (text.includes(".")) this.fail("not_a_number", "is not a number");
        text = text.replace(decimal, ".");
      }
    }
    if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) || !Number.isFinite(Number(text))) {
      this.fail("not_a_number", "is not a number");
    }
    return text;
  }

  /** `true` and `false`, or the words given. @returns {boolean | null} */
  boolean({ yes = ["true"], no = ["false"] } = {}) {
    const word = this.text.trim().toLowerCase();
    if (word === "") return null;
    if (this.typed ? word === "true" : yes.includes(word)) return true;
    if (this.typed ? word === "false" : no.includes(word)) return false;
    return this.fail("not_a_boolean", `is neither ${yes.join(", ")} nor ${no.join(", ")}`);
  }

  /**
   * A date, in days since 1970-01-01. @param {string} [format] `%Y`, `%m` and `%d` between the characters that stand
   * there; nothing is guessed, and ISO 8601 is the default @returns {number | null}
   */
  date(format = "%Y-%m-%d") {
    // A workbook's date may carry a time, which belongs to the same day.
    const text = this.typed ? this.text.trim().slice(0, 10) : this.text.trim();
    if (text === "") return null;
    const wanted = this.typed ? "%Y-%m-%d" : format;
    const found = { Y: 1970, m: 1, d: 1 };
    let at = 0;
    for (let place = 0; place < wanted.length; place += 1) {
      if (wanted[place] === "%" && wanted[place + 1] in found) {
        place += 1;
        const pattern = wanted[place] === "Y" ? /^\d{4}/ : /^\d{1,2}/;
        const digits = pattern.exec(text.slice(at))?.[0];
        if (!digits) return this.fail("bad_date", `is not a date of the form ${wanted}`);
        found[wanted[place]] = Number(digits);
        at += digits.length;
      } else if (text[at] === wanted[place]) {
        at += 1;
      } else {
        return this.fail("bad_date", `is not a date of the form ${wanted}`);
      }
    }
    const day = at === text.length ? dayOf(found.Y, found.m, found.d) : null;
    return day ?? this.fail("bad_date", `is not a date of the form ${wanted}`);
  }

  /** What the cell holds as JSON. */
  json() {
    if (this.isBlank) return null;
    try {
      return JSON.parse(this.text);
    } catch {
      return this.fail("not_json", "is not JSON");
    }
  }

  /** Says that this cell does not read: `message` follows the cell's text. */
  fail(code, message) {
    const shown = this.text.length > 40 ? `${this.text.slice(0, 40)}…` : this.text;
    throw new Unreadable(code, `\`${shown}\` ${message}`, this.column);
  }
}
