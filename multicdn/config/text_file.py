"""Files as people save them: UTF-8, or a sentence about what they are instead, with the line."""

from __future__ import annotations

# Of what is packed, and of text in wider characters: the first bytes say so.
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_WIDE = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

# Bytes in which every other one is zero in UTF-16 without a mark, for letters of English.
_SAMPLE = 64


class NotTextError(ValueError):
    """A file isn't text in UTF-8.

    Attributes:
        line: of the first byte that isn't; the first line is 1.
        text: a sentence that goes on from the file's name, with what to do.
    """

    def __init__(self, line: int, text: str) -> None:
        self.line = line
        self.text = text
        super().__init__(f"{line}: {text}")


def decoded(data: bytes, errors: str = "strict") -> str:
    """The text of a file, without the mark that some editors put before it.

    Args:
        data: all of the file.
        errors: what becomes of single bytes that aren't UTF-8, as in ``bytes.decode``.

    Raises:
        NotTextError: it isn't text, or is none in UTF-8.
    """
    if data.startswith((*_PACKED, *_WIDE)) or b"\0" in data:
        raise NotTextError(1, _other(data))
    try:
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        as_latin = bytes((byte,)).decode("cp1252", "replace")
        shown = f" (in Latin-1 it is {as_latin})" if as_latin.isprintable() and as_latin != "\ufffd" else ""
        raise NotTextError(line, f"the byte 0x{byte:02x} isn't UTF-8{shown}: save the file as UTF-8") from None


def _other(data: bytes) -> str:
    for start, packing in _PACKED.items():
        if data.startswith(start):
            return f"is packed ({packing}): unpack it first"
    for start, encoding in _WIDE.items():
        if data.startswith(start):
            return f"is {encoding}, as PowerShell's > writes it: save it as UTF-8 (Out-File -Encoding utf8)"
    sample = data[:_SAMPLE]
    if sample[::2].count(0) == len(sample[::2]) or sample[1::2].count(0) == len(sample[1::2]) > 0:
        return "is UTF-16: save it as UTF-8"
    return "holds zero bytes, so it is no text"
