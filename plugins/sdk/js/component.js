/**
 * The entry of the component: the functions that `mapper.js` exports, with the daemon's log behind them. Which of
 * `fieldMapping` and `productUsage` there must be follows from the world that the component is built for.
 */

import host from "gristmill:mapper/log@0.1.0";
import { logTo } from "./log.js";

logTo((level, message) => host.write(level, message));

export * from "../mapper.js";
