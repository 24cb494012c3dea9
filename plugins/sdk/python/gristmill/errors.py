"""What fails a whole file."""


class Fault(Exception):
    """Fails the file: `code` is stable, `message` a sentence for the person who owns the data, `row` the table-wide row
    and `column` the header index at fault."""

    def __init__(self, code, message, row=None, column=None):
        super().__init__(message)
        self.code, self.message, self.row, self.column = code, message, row, column


def fault_of(error, row=None):
    """Any error as a fault: a mapper that stumbles fails its file, and says on which row."""
    if isinstance(error, Fault):
        return error
    return Fault("mapper_error", f"{type(error).__name__}: {error}", row)
