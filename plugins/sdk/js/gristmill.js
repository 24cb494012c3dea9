/**
 * What a mapper is written with: `fieldMapper` and `usageMapper` turn a definition in terms of rows into the functions
 * of the contract `gristmill:mapper@0.1.0`. Nothing in here knows of a host, so a mapper runs under `node --test` as it
 * does in a component; `component.js` is the component's entry and the only file that imports.
 */

export { Cell, Unreadable } from "./cell.js";
export { Row } from "./row.js";
export { boolean, CLEAR, date, decimal, float, integer, text, textList, timestamp } from "./values.js";
export { dateOf, dayOf, startOf } from "./day.js";
export { log, logTo } from "./log.js";
export { Fault } from "./fault.js";
export { fieldMapper } from "./accounts.js";
export { series, usageMapper } from "./usage.js";
