/** Lines for the daemon's log. Without a host, as in a test, they go to the console. */

let write = (level, message) => console.error(`${level}: ${message}`);

/** Sends lines elsewhere: `write(level, message)`. */
export function logTo(other) {
  write = other;
}

/** `log.info("…")` and its like. The host caps the lines and says whose they are. */
export const log = {
  debug: (message) => write("debug", String(message)),
  info: (message) => write("info", String(message)),
  warn: (message) => write("warn", String(message)),
  error: (message) => write("error", String(message)),
};
