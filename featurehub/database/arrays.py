"""Arrays of many texts or numbers as parameters of statements."""

from types import NoneType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.types.array import ListDumper

NUMBERS = {int, float, NoneType}


class ArrayDumper(ListDumper):
    """Write lists of texts, and of numbers and nulls, as a whole.

    psycopg looks at each element by itself, which took a tenth of a recomputation.
    """

    def dump(self, obj: list[Any]) -> Buffer | None:
        kinds = set(map(type, obj))
        if kinds and kinds <= NUMBERS:
            return f"{{{','.join(map(repr, obj)).replace('None', 'null')}}}".encode()
        if kinds == {str}:
            quoted = '","'.join(obj)
            has_specials = "\\" in quoted or "\0" in quoted or quoted.count('"') != 2 * (len(obj) - 1)
            if not has_specials:
                return f'{{"{quoted}"}}'.encode()
        return super().dump(obj)


def array_text(numbers: NDArray[np.float64] | NDArray[np.int64]) -> str:
    """Return the text of an array of PostgreSQL, in a tenth of the time that a list takes as a parameter.

    What is not finite becomes null. The statement has to cast it, as to `float8[]`.
    """
    return f"{{{orjson.dumps(numbers.tolist()).decode()[1:-1]}}}"
