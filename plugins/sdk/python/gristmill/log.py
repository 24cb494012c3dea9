"""Lines for the daemon's log. Without a host, as in a test, they go to standard error."""

import sys


class Log:
    """`log.info("…")` and its like. The host caps the lines and says whose they are."""

    def __init__(self):
        self.write = lambda level, message: print(f"{level}: {message}", file=sys.stderr)

    def debug(self, message):
        self.write("debug", str(message))

    def info(self, message):
        self.write("info", str(message))

    def warn(self, message):
        self.write("warn", str(message))

    def error(self, message):
        self.write("error", str(message))


log = Log()
