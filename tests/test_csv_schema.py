"""Other files by the columns of a first one: names, files without header, and the schema's state."""

import json

import numpy as np
import pytest

from csv_files import FRUIT, fault
from fastnn.data import TableSchema, read_csv


@pytest.fixture
def schema(file):
    return read_csv(file(FRUIT, "train.csv"), "fruit").schema


def test_columns_are_found_by_name(file, schema):
    table = schema.read(file("fruit;colour;extra;sweet;grams\ncherry;red;5;no;8\napple;green;5;;\n"))
    assert table.names == schema.names
    np.testing.assert_array_equal(table.x, [[8, 0, 0, 1, 1, 0], [np.nan, 0, 1, 0, 0, 0]])
    assert table.y.tolist() == [1, 0]
    assert table.missing == {"grams": 1, "sweet": 1}
    assert table.notes == ("not used: column 'extra'",)
    assert table.classes == ("apple", "cherry")
    assert table.schema is schema


def test_the_target_may_be_missing(file, schema):
    assert schema.read(file("grams,colour,sweet\n1,red,no\n")).y is None
    empty = schema.read(file("grams,colour,sweet,fruit\n1,red,no,\n2,red,no,?\n"))
    assert empty.y is None
    assert empty.notes == ("column 'fruit', the target, holds no value",)
    path = file("grams,colour,sweet,fruit\n1,red,no,\n2,red,no,apple\n")
    assert "lacks the target 'fruit' in 1 row, line 2" in fault(lambda: schema.read(path), path)


def test_files_without_header(file, schema):
    table = schema.read(file("1,red,no\n2,green,yes\n"))
    assert table.x[:, 0].tolist() == [1, 2]
    assert table.y is None
    assert "columns taken in the order 'grams', 'colour', 'sweet'" in table.notes
    assert schema.read(file("1,red,no,cherry\n")).y.tolist() == [1]
    path = file("1,red\n")
    assert "has 2 columns, and names cannot tell which they are: expected 3 or 4" in fault(
        lambda: schema.read(path), path
    )


def test_files_of_texts_without_header(file):
    schema = read_csv(file("a,b\nx,y\nz,w\n")).schema
    path = file("z,y\n")
    assert "has a header and no rows" in fault(lambda: schema.read(path), path)
    assert schema.read(path, header=False).x.tolist() == [[0, 1, 0, 1]]
    path = file("a,b\nx,y\n")
    assert "holds 'a', expected a known text, one of 'x', 'z'" in fault(lambda: schema.read(path, header=False), path)


def test_files_without_header_for_tables_without_header(file):
    schema = read_csv(file("1,x,0\n2,y,1\n3,x,0\n4,x,1\n"), "3").schema
    assert schema.classes == ("0", "1")
    assert schema.read(file("3,y\n")).x.tolist() == [[3, 0, 1]]
    assert schema.read(file("1,x,1\n")).y.tolist() == [1]
    named = schema.read(file("p,q\n3,y\n"))
    assert named.x.tolist() == [[3, 0, 1]]


def test_ignored_columns_in_files_without_header(file):
    schema = read_csv(file("id,a,b,y\n7,1,2,p\n8,3,4,q\n"), "y", ignore=["id"]).schema
    assert schema.read(file("9,5,6,q\n")).x.tolist() == [[5, 6]]
    assert schema.read(file("5,6\n")).x.tolist() == [[5, 6]]
    path = file("9,5,6\n")
    assert "could be read in several ways; give it a header" in fault(lambda: schema.read(path), path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour,sweet\nred,no\n", "lacks the column 'grams'; it has 'colour', 'sweet'"),
        ("Grams,Colour,x\n1,red,2\n", "lacks the columns 'grams', 'colour', 'sweet'; it has 'Grams', 'Colour', 'x'"),
        (
            "grams,colour,sweet\n1,red,no\n1,blue,no\n1,violet,no\n1,blue,no\n",
            "'colour' holds 'blue', expected a known text, one of 'dark, red', 'green', 'red'. Unknown, too: 'violet'",
        ),
        ("grams,colour,sweet\nlight,red,no\n", "line 2: column 'grams' holds 'light', expected a number"),
        (
            "grams,colour,sweet,fruit\n1,red,no,pear\n",
            "line 2: column 'fruit' holds 'pear', expected a known class, one of 'apple', 'cherry'",
        ),
        ("grams,colour,sweet,grams\n1,red,no,1\n", "two columns of the name 'grams'"),
        ("grams,colour,sweet\n", "has a header and no rows"),
    ],
)
def test_what_does_not_fit(file, schema, text, words):
    path = file(text)
    assert words in fault(lambda: schema.read(path), path)


def test_classes_that_are_numbers_are_compared_as_numbers(file):
    schema = read_csv(file("x,y\n1,3\n2,4\n3,3\n4,4\n"), "y").schema
    assert schema.read(file("x,y\n1,4.0\n2,03\n")).y.tolist() == [1, 0]
    path = file("x,y\n1,5\n")
    assert "holds '5', expected a known class, one of '3', '4'" in fault(lambda: schema.read(path), path)


def test_the_state_goes_through_json(file, schema):
    state = json.loads(json.dumps(schema.state_dict()))
    other = TableSchema()
    other.load_state_dict(state)
    assert other.state_dict() == schema.state_dict()
    path = file(FRUIT)
    for a, b in zip(schema.read(path)[:5], other.read(path)[:5], strict=True):
        assert np.array_equal(a, b)
    regression = read_csv(file("x,y\n1,0.5\n"), "y").schema
    other.load_state_dict(regression.state_dict())
    assert (other.kind, other.classes, other.target) == ("regression", None, "y")


@pytest.mark.parametrize(
    "change",
    [
        {"columns": 3},
        {"columns": [{"name": "a", "kind": "other", "categories": []}]},
        {"columns": [{"name": "a", "kind": "number"}]},
        {"columns": [{"name": "a", "kind": "number", "categories": []}] * 2},
        {"columns": [{"name": "a", "kind": "number", "categories": ["x"]}]},
        {"columns": []},
        {"kind": None},
        {"kind": "regression"},
        {"kind": ["x"]},
        {"classes": ["a", "a"]},
        {"classes": None},
        {"classes": [1]},
        {"classes": "ab"},
        {"missing": [None]},
        {"header": "yes"},
        None,
    ],
)
def test_other_states_are_refused_and_change_nothing(schema, change):
    before = schema.state_dict()
    with pytest.raises(ValueError, match=r"^TableSchema.load_state_dict: "):
        schema.load_state_dict(None if change is None else {**before, **change})
    assert schema.state_dict() == before
