/** What fails a whole file. */

export class Fault extends Error {
  /**
   * @param {string} code a stable code of letters, digits, `-` and `_`
   * @param {string} message a sentence for the person who owns the data
   * @param {{row?: number, column?: number}} [place] the table-wide row and the header index at fault
   */
  constructor(code, message, place = {}) {
    super(message);
    this.name = "Fault";
    this.code = code;
    this.row = place.row ?? null;
    this.column = place.column ?? null;
  }

  /** The record that the contract has. */
  get wire() {
    return { code: this.code, message: this.message, row: this.row, column: this.column };
  }
}

/** Any error as a fault: a mapper that stumbles fails its file, and says on which row. */
export function faultOf(error, row = null) {
  if (error instanceof Fault) return error;
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new Fault("mapper_error", what, { row });
}

/** Calls a function of the contract, whose errors are records. */
export function guarded(call) {
  try {
    return call();
  } catch (error) {
    throw faultOf(error).wire;
  }
}
