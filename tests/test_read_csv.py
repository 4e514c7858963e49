"""Tables from CSV files: what is read, what it means, and what is refused in words that help."""

import csv
import gzip

import numpy as np
import pytest

from csv_files import FRUIT, fault
from fastnn.data import TableSchema, read_csv
from fastnn.data.csv_table import Column


def refused(file, content, *, words, **options):
    path = file(content)
    message = fault(lambda: read_csv(path, **options), path)
    assert words in message, message


# ---- what is read -------------------------------------------------------------------------------------------------------


def test_columns_by_their_names(file):
    table = read_csv(file(FRUIT), "fruit")
    np.testing.assert_array_equal(table.column("grams"), [120, 150.5, 7, 6])
    np.testing.assert_array_equal(table.column("colour=red"), [1, 0, 1, 0])
    assert np.shares_memory(table.column("grams"), table.x)
    assert table.column("fruit") is table.y
    with pytest.raises(
        ValueError, match=r"^Table.column: there is no column 'colour'; there are 'grams', 'colour=dark, red'.*'fruit'$"
    ):
        table.column("colour")
    without = table.schema.read(file("grams,colour,sweet\n1,red,no\n", "b.csv"))
    with pytest.raises(ValueError, match=r"there is no column 'fruit'; .*'sweet=yes'$"):
        without.column("fruit")


@pytest.mark.parametrize("text", ["spots\n5\n11.5\n\n16\n", "5\n11.5\n16", "spots per year\r\n5\r\n11.5\r\n16\r\n"])
def test_a_series_in_one_column(file, text):
    table = read_csv(file(text))
    np.testing.assert_array_equal(table.column(table.names[0]), [5, 11.5, 16])
    assert table.x.shape == (3, 1)
    path = file(text)
    target = table.names[0]
    message = fault(lambda: read_csv(path, target), path)
    assert f"no column beside the target; a series is read without a target: read_csv(…).column({target!r})" in message


def test_numbers_texts_and_classes(file):
    table = read_csv(file(FRUIT), "fruit")
    assert table.names == ("grams", "colour=dark, red", "colour=green", "colour=red", "sweet=no", "sweet=yes")
    expected = [[120, 0, 0, 1, 0, 1], [150.5, 0, 1, 0, 1, 0], [7, 0, 0, 1, 0, 1], [6, 1, 0, 0, 0, 1]]
    np.testing.assert_array_equal(table.x, np.array(expected), strict=True)
    np.testing.assert_array_equal(table.y, np.array([0, 0, 1, 1]), strict=True)
    assert table.classes == ("apple", "cherry")
    assert table.missing == {}
    assert table.lines.tolist() == [2, 3, 4, 5]
    assert table.notes == ()
    assert (table.schema.target, table.schema.kind) == ("fruit", "classification")


def test_without_a_target(file):
    table = read_csv(file("a,b\n1,2\n"))
    assert (table.y, table.classes, table.x.tolist()) == (None, None, [[1, 2]])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_packing(file, delimiter, end, packed, mark):
    data = mark + FRUIT.replace('"dark, red"', "dark").replace(",", delimiter).replace("\n", end).encode()
    table = read_csv(file(gzip.compress(data) if packed else data), "fruit")
    assert table.names == ("grams", "colour=dark", "colour=green", "colour=red", "sweet=no", "sweet=yes")
    assert table.x[:, 0].tolist() == [120, 150.5, 7, 6]


def test_semicolons_beside_commas_cut(file):
    """A comma is within a text of each row; it cuts them alike, too."""
    table = read_csv(file("name, first;n\nMeier, Anna;1\nMeier, Anna;2\n"))
    assert table.names == ("name, first=Meier, Anna", "n")
    assert read_csv(file("a:b\n1:2\n"), delimiter=":").x.tolist() == [[1, 2]]


def test_quotes(file):
    text = 'a,"b ""c""",d\n1,"x, y\nz",2\n3,"x, y\nz",4\nq,r\n'
    path = file(text)
    assert "has 2 fields in line 6 and 3 in line 1" in fault(lambda: read_csv(path), path)
    table = read_csv(file(text.replace("q,r\n", "")))
    assert table.names == ("a", 'b "c"=x, y\nz', "d")
    assert table.lines.tolist() == [2, 4]


@pytest.mark.parametrize(
    "text", ["1", "+1", "-1.5", ".5", "5.", "1e5", "1E-5", "-1.5e+3", "007", " 3 ", "0.1", "1e300", "1e-400", "1" * 30]
)
def test_spellings_of_numbers(file, text):
    assert read_csv(file(f"a,b\n{text},0\n")).x[0, 0] == float(text)


@pytest.mark.parametrize("text", ["1_000", "inf", "-Infinity", "0x10", "1e999", "12%", "$3", "1 000", "٣"])
def test_what_is_no_number(file, text):
    path = file(f"a,b\n1,0\n{text},0\n2,0\n")
    assert f"line 3: column 'a' holds {text!r}, but 2 of its 3 values are numbers" in fault(
        lambda: read_csv(path), path
    )


def test_missing_values(file):
    table = read_csv(file("a,b,c\n1,x,\n,NA,2\n?,y,nan\n4, ,3\n"))
    np.testing.assert_array_equal(table.x[:, 0], [1, np.nan, np.nan, 4])
    assert table.x[:, 1:3].tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
    np.testing.assert_array_equal(table.x[:, 3], [np.nan, 2, np.nan, 3])
    assert table.missing == {"a": 2, "b": 2, "c": 2}
    other = read_csv(file("a,b\n1,NA\n-,NA\n"), missing=["-"])
    assert other.names == ("a", "b=NA")
    assert other.missing == {"a": 1}
    sentinel = read_csv(file("a,b\n1,-999\n-999,2\n"), missing=["-999"])
    np.testing.assert_array_equal(sentinel.x, [[1, np.nan], [np.nan, 2]])


def test_the_header_rule(file):
    assert read_csv(file("a,b\n1,x\n")).names == ("a", "b=x")
    without = read_csv(file("1,x\n2,y\n"))
    assert without.names == ("1", "2=x", "2=y")
    assert without.notes == ("no header: columns are called 1 to 2",)
    assert read_csv(file("2019,2020\n1,2\n"), header=True).names == ("2019", "2020")
    assert read_csv(file("x,y\nx,z\n"), header=False).names == ("1=x", "2=y", "2=z")
    refused(file, "0,1,target\n5,6,7\n8,9,10\n", words="if that row is a header, pass header=True")


def test_a_first_row_that_may_have_names_is_said(file):
    rows = "".join(f"{name},{kind},1,2.5\n" for name, kind in zip("abcd", "xyxy", strict=True))
    with pytest.warns(UserWarning, match=r"line 1 was taken for data, .* pass header=True"):
        read_csv(file("country,kind,1960,1961\n" + rows))
    table = read_csv(file("country,kind,1960,1961\n" + rows), header=True)
    assert table.names[-2:] == ("1960", "1961")
    read_csv(file(rows))  # a warning would be an error
    read_csv(file("?,1,2\nx,3,4\ny,5,6\n"))
    with pytest.warns(UserWarning, match="pass header=True"):
        read_csv(file("a,1\nb,2\nc,3\n"))
    read_csv(file("a,1\nb,2\nc,3\n"), header=False)


def test_the_repr_is_short(file):
    text = "a,b,goal\n1,x,yes\n,y,no\n3,x,yes\n4,,no\n"
    expected = "Table(4 rows, features 'a', 'b=x', 'b=y', target 'goal' of classes 'no', 'yes', 2 values missing)"
    assert repr(read_csv(file(text), "goal")) == expected
    assert repr(read_csv(file("a,b\n1,2\n3,4\n"), "b", kind="regression")) == "Table(2 rows, features 'a', target 'b')"
    assert repr(read_csv(file("a,b\n1,2\n3,4\n"))) == "Table(2 rows, features 'a', 'b')"


def test_columns_without_names(file):
    table = read_csv(file(",a,b,\n0,5,6,\n1,7,8,\n2,9,9,\n"))
    assert table.names == ("a", "b")
    assert table.notes == (
        "column 1 has no name and counts the rows: left out",
        "column 4 has no name and no values: left out",
    )
    assert read_csv(file("a,\n1,5\n2,4\n")).names == ("a", "2")


def test_blank_lines(file):
    table = read_csv(file("\n\na,b\n\n1,2\n,\n\n3,4\n\n"))
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert table.lines.tolist() == [5, 8]


def test_columns_chosen_by_the_caller(file):
    text = "id,zip,a\n1,10115,1\n2,80331,2\n3,10115,3\n"
    table = read_csv(file(text), text=["zip"], ignore="id")
    assert table.names == ("zip=10115", "zip=80331", "a")


def test_columns_that_say_nothing_about_other_rows_are_left_out(file):
    rows = [f"{i},x{i},2020-01-{i + 1},,y{i // 2},z{i % 20}\n" for i in range(30)]
    with pytest.warns(UserWarning, match=r"^read_csv: .*a\.csv': left out: columns 'name', which holds 30 ") as caught:
        table = read_csv(file("a,name,date,none,pair,group\n" + "".join(rows)))
    assert "'date', which holds 30 different texts in 30 values; 'none', which holds no value" in str(caught[0].message)
    assert "pair" not in str(caught[0].message)
    assert table.names[:2] == ("a", "pair=y0")
    assert table.names[16:18] == ("group=z0", "group=z1")
    assert "column 'name' holds 30 different texts in 30 values: left out" in table.notes
    many = "a,b\n" + "".join(f"1,x{i}\n" for i in range(1001)) * 3
    with pytest.warns(UserWarning, match="1001 different texts in 3003 values"):
        assert read_csv(file(many)).names == ("a",)


@pytest.mark.parametrize("text", ["a b  c\n1 2 3\n", "  a b c  \n 1   2 3\n", "a  b c\r\n1 2   3  \r\n"])
def test_blanks_between_columns(file, text):
    table = read_csv(file(text))
    assert table.names == ("a", "b", "c")
    assert table.x.tolist() == [[1, 2, 3]]


# ---- targets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "10", "9"], ("9", "10")),
        (["1.0", "0", "01", "0.0"], ("0", "1")),
        (["-1", "1", "-1", "1"], ("-1", "1")),
        (["x10", "x9"], ("x9", "x10")),
        (["1", "2", "3"], None),
        ([str(i) for i in range(21)] * 2, None),
        ([str(i) for i in range(20)] * 2, tuple(str(i) for i in range(20))),
        (["0.5", "1", "0.5", "1"], None),
        (["1", "1", "1"], ("1",)),
    ],
)
def test_the_target_rule(file, values, classes):
    table = read_csv(file("x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))), "y")
    assert table.classes == classes
    if classes is None:
        assert table.schema.kind == "regression"
        np.testing.assert_array_equal(table.y, np.array(values, np.float64), strict=True)
    else:
        assert table.y.dtype == np.int64
        spelled = [value if value.startswith(("a", "b", "x")) else str(int(float(value))) for value in values]
        assert [classes[label] for label in table.y] == spelled


def test_the_kind_can_be_said(file):
    path = file("x,y\n1,0\n2,1\n3,0\n4,1\n")
    assert read_csv(path, "y", kind="regression").y.tolist() == [0.0, 1, 0, 1]
    path = file("x,y\n1,0.5\n2,1.5\n3,0.5\n")
    assert read_csv(path, "y", kind="classification").classes == ("0.5", "1.5")
    assert "kind must be" in fault(lambda: read_csv(path, "y", kind="other"))
    path = file("x,y\n1,a\n2,2\n3,3\n")
    assert read_csv(path, "y", kind="classification").classes == ("2", "3", "a")
    assert "line 2: column 'y' holds 'a', but 2 of its 3" in fault(lambda: read_csv(path, "y"), path)
    assert "line 2: column 'y' holds 'a', expected a number" in fault(
        lambda: read_csv(path, "y", kind="regression"), path
    )


def test_rows_without_a_target(file):
    rows = "".join(f"{i},{'' if i in (3, 7) else i % 2}\n" for i in range(20))
    refused(file, "x,y\n" + rows, target="y", words="lacks the target 'y' in 2 rows, line 5, 9")


# ---- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            FRUIT,
            {"target": "friut"},
            "has no column 'friut' for target; its columns are 'grams', 'colour', 'sweet', 'fruit'",
        ),
        (FRUIT, {"ignore": ["x"]}, "has no column 'x' for ignore"),
        (FRUIT, {"text": ["x"]}, "has no column 'x' for text"),
        ("", {}, "is empty; expected a CSV file"),
        ("\n \n\n", {}, "holds nothing but blank lines"),
        ("a,b\n", {}, "has a header and no rows"),
        ("a,b,a\n1,2,3\n", {}, "has two columns of the name 'a', column 1 and 3"),
        ("a,b\n1,2\n3,4,5\n", {}, "has 3 fields in line 3 and 2 in line 1, cut at ','"),
        ("a,b\n1,2\n3\n", {}, "has 1 fields in line 3"),
        ('a,b\n1,"2\n3,4\n', {}, "from line 2 on: quotes that do not close"),
        ('a,b\n"1"x,2\n', {}, "from line 2 on"),
        ("a,b\n1," + "x" * 200_000 + "\n", {}, "from line 2 on: field larger than field limit"),
        ("a;b\n1,5;2\n2,5;3\n", {}, "line 2: column 'a' holds '1,5', a number with a comma; expected a decimal point"),
        ('a,b\n"1,234",2\n2,3\n', {}, "line 2: column 'a' holds '1,234', a number with a comma"),
        ("a\nx\n", {"target": "a"}, "has no column beside the target"),
        (
            "n,a\n" + "".join(f"{i},1\n" for i in range(21)),
            {"text": ["n"]},
            "has 21 different texts in 21 values in column 'n'",
        ),
        (
            "n,a\n" + "".join(f"x{i},1\n" for i in range(21)),
            {"target": "n"},
            "21 different texts in 21 values of the target",
        ),
        ("x,y\n1,\n2,\n", {"target": "y"}, "lacks the target 'y' in 2 rows"),
    ],
)
def test_refusals(file, text, options, words):
    refused(file, text, words=words, **options)


def test_wrong_arguments(file):
    path = file(FRUIT)
    for options, words in [
        ({"delimiter": ";;"}, "delimiter must be one character"),
        ({"encoding": "utf-16"}, "encoding must be"),
        ({"encoding": "nonsense"}, "encoding must be"),
        ({"target": "fruit", "ignore": ["fruit"]}, "ignore must not name the target"),
    ]:
        assert words in fault(lambda options=options: read_csv(path, **options))
    with pytest.raises(TypeError, match=r"^read_csv: missing must be strings"):
        read_csv(path, missing=[-1])


def test_encodings(file):
    path = file("a,b\n1,x\n1,café\n", encoding="latin-1")
    text = fault(lambda: read_csv(path), path)
    assert "is not in utf-8: line 3 has the byte 0xe9, which in Latin-1 would read '1,café'" in text
    assert read_csv(path, encoding="latin-1").names == ("a", "b=café", "b=x")
    path = file(FRUIT, encoding="utf-16")
    assert "text in UTF-16; save it as UTF-8" in fault(lambda: read_csv(path), path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            b"PK\x03\x04" + bytes(22) + b"\x13\x00\x00\x00[Content_Types].xml",
            "an Excel or Word document; save it as CSV",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word document"),
        (b"<!doctype html>\n<html>", "an HTML page"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01a", "an IDX file"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"PAR1", "a Parquet file"),
    ],
)
def test_files_of_other_kinds_are_named(file, data, what):
    path = file(data)
    assert what in fault(lambda: read_csv(path), path)


def test_zero_bytes_far_in(file):
    path = file("a,b\n" + "1,2\n" * 200 + "1,\0\n")
    assert "has a zero byte in line 202" in fault(lambda: read_csv(path), path)


def test_lines_and_gzip_files_without_end(file, monkeypatch):
    monkeypatch.setattr("fastnn.data.csv_rows._MAX_LINE", 1000)
    path = file("a,b\n1,2" + " " * 2000)
    assert "more than 1 000 bytes in line 2" in fault(lambda: read_csv(path), path)
    monkeypatch.setattr("fastnn.data.csv_rows.MAX_UNPACKED", 1000)
    path = file(gzip.compress(b"a,b\n" + b"1,2\n" * 1000))
    assert "is a gzip file of more than 1 000 bytes of content" in fault(lambda: read_csv(path), path)


def test_features_that_need_more_memory_than_there_is(file, monkeypatch):
    def refuse(*args):
        raise MemoryError

    monkeypatch.setattr(np, "zeros", refuse)
    path = file("a\n1\n")
    assert "more memory than there is" in fault(lambda: read_csv(path), path)


# ---- against other readers ----------------------------------------------------------------------------------------------


def test_against_loops_over_rows(file):
    """A table of all kinds against the definition, row by row."""
    rng = np.random.default_rng(0)
    colours = ["red", "green", "blue"]
    rows = [
        {
            "n": "" if rng.random() < 0.1 else repr(float(rng.standard_normal() * 10.0 ** rng.integers(-9, 9))),
            "huge": str(1_600_000_000 + i),
            "colour": "" if rng.random() < 0.1 else colours[rng.integers(3)],
            "y": colours[rng.integers(3)].upper(),
        }
        for i in range(200)
    ]
    path = file("n,huge,colour,y\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    table = read_csv(path, "y")
    with open(path, newline="") as f:
        for got, label, row in zip(table.x, table.y, csv.DictReader(f), strict=True):
            np.testing.assert_array_equal(got[0], float(row["n"] or "nan"))
            assert got[1] == float(row["huge"])
            assert got[2:].tolist() == [row["colour"] == colour for colour in sorted(colours)]
            assert table.classes[label] == row["y"]
    assert len(np.unique(table.x[:, 1])) == 200
    assert table.missing == {name: sum(not row[name] for row in rows) for name in ("n", "colour")}


@pytest.mark.parametrize(("name", "kind"), [("iris", "c"), ("wine", "c"), ("breast_cancer", "c"), ("diabetes", "r")])
def test_scikit_learns_tables(file, name, kind):
    datasets = pytest.importorskip("sklearn.datasets")
    data = getattr(datasets, f"load_{name}")()
    header = [*data.feature_names, "the target"]
    rows = [[*map(repr, row), str(label)] for row, label in zip(data.data.tolist(), data.target.tolist(), strict=True)]
    table = read_csv(file("\n".join(",".join(row) for row in [header, *rows])), "the target")
    np.testing.assert_array_equal(table.x, data.data)
    np.testing.assert_array_equal(table.y, data.target)
    assert table.schema.kind == {"c": "classification", "r": "regression"}[kind]
    assert list(table.names) == list(data.feature_names)


def test_columns_are_described():
    assert TableSchema([Column("a", "number")]).names == ("a",)
