"""A small table, and what is said where a file is refused."""

import re

import pytest

FRUIT = """\
grams,colour,sweet,fruit
120,red,yes,apple
150.5,green,no,apple
7,red,yes,cherry
 6 ,"dark, red",yes,cherry
"""


def fault(call, path=None):
    """The message of the error, which names the function first, and the file."""
    with pytest.raises(ValueError) as info:
        call()
    text = str(info.value)
    assert re.match(r"read_csv: |TableSchema.read: ", text)
    assert path is None or repr(path) in text
    return text
