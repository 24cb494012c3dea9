"""Arrow's physical layout: strings laid end to end, and bitmaps with the least significant bit first."""

from itertools import accumulate


class Text:
    """Strings laid end to end, as the contract has them."""

    def __init__(self, offsets, data):
        self.offsets, self.bytes = offsets, data

    @classmethod
    def of(cls, strings):
        whole = "".join(strings)
        if whole.isascii():
            return cls(list(accumulate(map(len, strings), initial=0)), whole.encode())
        # Half of a surrogate pair is no character; it becomes a question mark.
        encoded = [string.encode(errors="replace") for string in strings]
        return cls(list(accumulate(map(len, encoded), initial=0)), b"".join(encoded))

    def strings(self):
        offsets = self.offsets
        if self.bytes.isascii():
            whole = self.bytes.decode()
            return [whole[start:end] for start, end in zip(offsets, offsets[1:])]
        return [self.bytes[start:end].decode() for start, end in zip(offsets, offsets[1:])]


def bitmap(bits):
    """The bitmap of a list of truths."""
    digits = "".join(["1" if bit else "0" for bit in reversed(bits)])
    return int(digits or "0", 2).to_bytes((len(bits) + 7) // 8, "little")


def is_set(bits, row):
    return bits[row >> 3] >> (row & 7) & 1 == 1


def validity(values):
    """The bitmap of those that are there; none where all are."""
    return bitmap([value is not None for value in values]) if None in values else None
