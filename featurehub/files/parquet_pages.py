"""Read the sizes of a Parquet file's pages from their headers, before a page is decompressed.

A file of a few kilobytes may hold pages of gigabytes. The footer has only the sizes of whole column chunks, which may
rightly be large. A page's header stands before it, in Thrift's compact protocol:

    PageHeader 1: type (2: dictionary), 2: uncompressed size, 3: compressed size,
               5 and 8: of a data page, 1: number of values
"""

from typing import IO, Any, NamedTuple

import pyarrow as pa

DICTIONARY_PAGE = 2
# Thrift's types.
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
DEEPEST = 16


class ChunkPages(NamedTuple):
    """The pages of a column chunk: the largest data page and dictionary in bytes, and the most bytes for a value.

    The last is the average of the page where it is the largest.
    """

    largest: int
    dictionary: int
    bytes_per_value: float


def read_pages(file: IO[bytes], chunk: Any) -> ChunkPages:
    """Return the sizes of a column chunk's pages. Raise pyarrow's ArrowInvalid for a header that can't be read."""
    offsets = [chunk.data_page_offset, chunk.dictionary_page_offset or 0]
    place = min(offset for offset in offsets if offset > 0 or offset == offsets[0])
    end = place + chunk.total_compressed_size
    largest, dictionary, per_value, values = 0, 0, 0.0, 0
    while place < end and values < chunk.num_values:
        file.seek(place)
        header = read_struct(file)
        compressed = header.get(3)
        if not isinstance(compressed, int) or compressed < 0:
            raise pa.ArrowInvalid("a page has no size")
        size = max(compressed, header.get(2) or 0)
        if header.get(1) == DICTIONARY_PAGE:
            dictionary = max(dictionary, size)
        else:
            number = header.get(5, header.get(8, {})).get(1, 0)
            values += number
            largest, per_value = max(largest, size), max(per_value, size / max(number, 1))
        place = file.tell() + compressed
    return ChunkPages(largest, dictionary, per_value)


def read_struct(file: IO[bytes], *, depth: int = 0) -> dict[int, Any]:
    """Return the fields of a struct by number: whole numbers and structs; others are skipped."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := read_byte(file)) != STOP:
        number = number + (head >> 4) if head >> 4 else read_zigzag(file)
        fields[number] = read_value(file, head & 15, depth=depth + 1)
    return fields


def read_value(file: IO[bytes], kind: int, *, depth: int) -> Any:
    """Return a value that is a whole number or a struct; skip another one and return None."""
    if depth > DEEPEST or kind > STRUCT:
        raise pa.ArrowInvalid("a page has a header that can't be read")
    if kind in (TRUE, FALSE):
        return None
    if BYTE < kind < DOUBLE:
        return read_zigzag(file)
    if kind == STRUCT:
        return read_struct(file, depth=depth)
    if kind in (LIST, SET, MAP):  # no header has any
        raise pa.ArrowInvalid("a page has a header of another version of Parquet")
    file.seek({BYTE: 1, DOUBLE: 8}.get(kind) or read_varint(file), 1)
    return None


def read_zigzag(file: IO[bytes]) -> int:
    number = read_varint(file)
    return (number >> 1) ^ -(number & 1)


def read_varint(file: IO[bytes]) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = read_byte(file)
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise pa.ArrowInvalid("a page has a header that can't be read")


def read_byte(file: IO[bytes]) -> int:
    byte = file.read(1)
    if not byte:
        raise pa.ArrowInvalid("a page has no header")
    return byte[0]
