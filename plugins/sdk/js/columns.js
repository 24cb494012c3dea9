/** Arrow's physical layout: strings laid end to end, and bitmaps with the least significant bit first. */

/** Whether bit `row` is set. */
export function bitOf(bits, row) {
  return ((bits[row >> 3] >> (row & 7)) & 1) === 1;
}

/** The bitmap of so many rows in which the bits of some rows are set, or, where `others` says so, all but those. */
export function bitmap(length, rows, others = false) {
  const bytes = new Uint8Array((length + 7) >> 3).fill(others ? 0xff : 0);
  for (const row of rows) bytes[row >> 3] ^= 1 << (row & 7);
  return bytes;
}

/** Strings on their way out. */
export class Texts {
  offsets = [0];
  bytes = new Uint8Array(1024);
  end = 0;

  push(text) {
    // A character takes three bytes at most for each of its two halves.
    const most = this.end + text.length * 3;
    if (most > this.bytes.length) {
      const larger = new Uint8Array(Math.max(most, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.end));
      this.bytes = larger;
    }
    this.end = encode(text, this.bytes, this.end);
    this.offsets.push(this.end);
  }

  get wire() {
    return { offsets: this.offsets, bytes: this.bytes.subarray(0, this.end) };
  }
}

/** Writes UTF-8 from `at` on and gives the place behind it. What stands for no character becomes U+FFFD. */
function encode(text, bytes, at) {
  const { length } = text;
  for (let index = 0; index < length; index += 1) {
    let code = text.charCodeAt(index);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const whole = text.codePointAt(index);
      if (whole > 0xffff) index += 1;
      code = whole > 0xffff ? whole : 0xfffd;
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        bytes[at++] = 0xe0 | (code >> 12);
      } else {
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
      }
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[at++] = 0x80 | (code & 0x3f);
  }
  return at;
}

/** Characters that one call makes of their codes: more arguments than this a call need not take. */
const AT_ONCE = 4096;

/**
 * Source cells of one column. Text of ASCII alone becomes one string on first use, of which each cell is a slice; other
 * text is decoded cell by cell.
 */
export class Cells {
  constructor({ text, typed }) {
    this.offsets = text.offsets;
    this.bytes = text.bytes;
    this.typed = typed ?? null;
    this.whole = undefined;
  }

  text(row) {
    const [start, end] = [this.offsets[row], this.offsets[row + 1]];
    if (this.whole === undefined) this.whole = ascii(this.bytes);
    return this.whole === null ? decode(this.bytes, start, end) : this.whole.slice(start, end);
  }

  isTyped(row) {
    return this.typed !== null && bitOf(this.typed, row);
  }
}

/** The string of bytes that are ASCII, else null. */
function ascii(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += AT_ONCE) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + AT_ONCE));
  }
  return /[\x80-\xff]/.test(text) ? null : text;
}

/** A string of UTF-8, which the host has checked. */
function decode(bytes, start, end) {
  let text = "";
  for (let at = start; at < end;) {
    const first = bytes[at++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let code = first & (0x3f >> more);
    for (let left = more; left > 0; left -= 1) code = (code << 6) | (bytes[at++] & 0x3f);
    text += String.fromCodePoint(code);
  }
  return text;
}
