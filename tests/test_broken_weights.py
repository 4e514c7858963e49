"""Files of weights that nobody vouches for: read as their own libraries read them, or refused, in bounded memory; no code runs."""

import collections
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastnn as fnn
import mutated_weights
from fastnn.weights import torch_pickle
from mutated_weights import archived, with_header

COUNT = 100
SPARE = 64 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def refused(path, data, words):
    """The file is refused in these words, and in little memory."""
    path.write_bytes(data)
    with measured() as peak, pytest.raises(fnn.WeightsError, match=words) as caught:
        fnn.load_weights(path)
    assert peak() < SPARE
    assert len(str(caught.value)) < 1000


class measured:
    """The largest memory that was taken within the block."""

    def __enter__(self):
        tracemalloc.start()
        return lambda: self.peak

    def __exit__(self, *_):
        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


# ---- at random ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", mutated_weights.KINDS)
def test_damaged_files(kind, tmp_path):
    pytest.importorskip({"pt": "torch"}.get(kind, kind))
    outcomes = collections.Counter()
    with measured() as peak:
        for seed, (_, data) in enumerate(mutated_weights.mutants(kind, COUNT)):
            outcomes[mutated_weights.compared(kind, data, tmp_path / str(seed))] += 1
    assert peak() < SPARE
    assert outcomes["refused there"] == 0
    # The damage is neither always harmless nor always fatal, and we are not much stricter.
    assert outcomes["same"] >= COUNT // 20
    assert outcomes["both refuse"] >= COUNT // 3
    assert outcomes["refused here"] <= COUNT // 4


# ---- safetensors --------------------------------------------------------------------------------------------------------


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def header(body=b"", **entries):
    return with_header(json.dumps(entries).encode(), body)


BROKEN_SAFETENSORS = {
    "a length of 2 ** 63": (struct.pack("<Q", 1 << 63) + b"{}", "claimed to take 9223372036854775808 bytes"),
    "a length beyond the end": (struct.pack("<Q", 100) + b"{}", "claimed to take 100 bytes, but 2 are there"),
    "2 ** 60 elements": (header(a=entry([1 << 60], 0, 1 << 62)), "arrays take 4611686018427387904 bytes, but 0"),
    "2 ** 60 elements in none": (header(a=entry([1 << 60], 0, 0)), "claimed to lie in 0 bytes"),
    "a product beyond 64 bits": (header(a=entry([1 << 33, 1 << 31], 0, 0)), "claimed to lie in 0 bytes"),
    "an axis beyond NumPy": (header(a=entry([0, 1 << 63], 0, 0)), "beyond NumPy's limits"),
    "65 axes": (header(a=entry([0] * 65, 0, 0)), "beyond NumPy's limits"),
    "a hole": (header(bytes(12), a=entry([1], 0, 4), b=entry([1], 8, 12)), "'b' begins at byte 8, but at 4"),
    "an overlap": (header(bytes(4), a=entry([1], 0, 4), b=entry([1], 0, 4)), "'b' begins at byte 0, but at 4"),
    "bytes left": (header(bytes(5), a=entry([1], 0, 4)), "take 4 bytes, but 5 are there"),
    "ends before it begins": (header(bytes(4), a=entry([1], 4, 0)), "claimed to lie in -4 bytes"),
    "a truth value as extent": (header(bytes(4), a=entry([True], 0, 4)), "not that of an array"),
    "float8": (header(bytes(1), a=entry([1], 0, 1, "F8_E4M3")), "'a' with the dtype 'F8_E4M3'; those that are read: BOOL"),
    "one more field": (header(a=entry([0], 0, 0) | {"x": 1}), "not that of an array"),
    "metadata that are no texts": (header(__metadata__={"a": 1}), "metadata"),
    "two names": (with_header(b'{"a": 1, "a": 2}', b""), "a name stands twice"),
    "no dictionary": (with_header(b"{}[]", b""), "no JSON text"),
    "a number without end": (with_header(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 0]}}', b""), "where only whole numbers"),
    "a long name": (header(**{"x" * 1_000_000: entry([2], 0, 4)}), "'xxx"),
    "a truth value of 2": (header(b"\2", a=entry([1], 0, 1, "BOOL")), "truth value"),
    "deep": (with_header(b'{"a": ' + b"[" * 100_000, b""), "no JSON text"),
    "many lists": (with_header(b'{"a": [' + b"[]," * 3_000_000 + b"[]]}", b""), "more names, lists and numbers"),
    "many dictionaries": (with_header(b'{"a": [' + b"{}," * 3_000_000 + b"{}]}", b""), "more names, lists and numbers"),
    "one wide character": (with_header(b'{"a' + b"a" * 9_000_000 + "😀".encode() + b'": 1}', b""), "more names"),
    "a long header": (with_header(b"{" + b" " * 20_000_000 + b"}", b""), "takes 20000002 bytes; at most"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_SAFETENSORS)
def test_broken_safetensors(case, path):
    refused(path, *BROKEN_SAFETENSORS[case])


# ---- torch --------------------------------------------------------------------------------------------------------------


def torch_archive(pickled, **storages):
    entries = {"a/data.pkl": b"\x80\x02" + pickled + b".", "a/version": b"3\n", "a/byteorder": b"little"}
    return archived((entries | {f"a/data/{key}": content for key, content in storages.items()}).items())


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def whole(number):
    return b"\x8a\x08" + struct.pack("<q", number)


def ordered():
    return b"ccollections\nOrderedDict\n)R"


def tensor(shape=(2,), stride=(1,), offset=0, count=2, kind="FloatStorage", key="0", grad=b"\x89"):
    storage = b"(" + text("storage") + b"ctorch\n%b\n" % kind.encode() + text(key) + text("cpu") + whole(count) + b"tQ"
    sizes = b"".join(b"(" + b"".join(map(whole, numbers)) + b"t" for numbers in (shape, stride))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + whole(offset) + sizes + grad + ordered() + b"tR"


def of(*values):
    """The pickle of a dictionary of values."""
    return b"}(" + b"".join(text(str(i)) + value for i, value in enumerate(values)) + b"u"


EIGHT = {"0": bytes(8)}
BROKEN_TENSORS = {
    "beyond its storage": ({"shape": (3,)}, "reaches beyond its storage of 2 numbers"),
    "from beyond its storage": ({"shape": (0,), "offset": 3}, "reaches beyond"),
    "by its offset": ({"offset": 1}, "reaches beyond"),
    "by its stride": ({"stride": (2,)}, "reaches beyond"),
    "2 ** 60 elements": ({"shape": (1 << 60,)}, "reaches beyond"),
    "2 ** 60 repetitions": ({"shape": (1 << 60,), "stride": (0,)}, "repeat what it has, to more than"),
    "2 ** 120 repetitions": ({"shape": (1 << 60, 1 << 60), "stride": (0, 0)}, "repeat what it has"),
    "a negative stride": ({"stride": (-1,), "offset": 1}, "no numbers from 0 on"),
    "a negative offset": ({"offset": -1}, "no numbers from 0 on"),
    "a negative extent": ({"shape": (-1,)}, "no numbers from 0 on"),
    "no stride": ({"stride": ()}, "do not belong together"),
    "65 axes": ({"shape": (1,) * 65, "stride": (1,) * 65}, "do not belong together"),
    "a storage that is shorter": ({"count": 3}, "the storage '0' has 8 bytes, not 12"),
    "a storage that is longer": ({"count": 1, "shape": (1,)}, "the storage '0' has 8 bytes, not 4"),
    "a storage of 2 ** 62": ({"count": 1 << 62, "shape": (1 << 62,)}, "repeat what it has"),
    "a storage that is not there": ({"key": "1"}, "lacks the entry 'a/data/1'"),
    "a storage elsewhere": ({"key": "../data.pkl"}, "lacks the entry"),
    "a gradient of integers": ({"kind": "IntStorage", "grad": b"\x88"}, "a gradient that it cannot have"),
    "no storage": ({"kind": "Size"}, "something that is no storage"),
    "bytes without a type": ({"kind": "QUInt8Storage"}, "names 'torch.QUInt8Storage'"),
}


def test_a_tensor_made_by_hand(path):
    path.write_bytes(torch_archive(of(tensor()), **EIGHT))
    assert fnn.load_weights(path)["0"].tolist() == [0, 0]


@pytest.mark.parametrize("case", BROKEN_TENSORS)
def test_broken_tensors(case, path):
    options, words = BROKEN_TENSORS[case]
    refused(path, torch_archive(of(tensor(**options)), **EIGHT), words)


BROKEN_PICKLES = {
    "nothing": (b"", "does not end where it should"),
    "two values": (b"}}", "does not end where it should"),
    "a mark": (b"(}", "does not end where it should"),
    "an end before the end": (b"}.", "does not end where it should"),
    "no value": (b"s", "more values than there are"),
    "values before a mark": (b"}NN(s", "more values than there are"),
    "no mark": (b"}u", "no mark"),
    "a text cut short": (b"X\xff\xff\xff\xff", "ends too early"),
    "no text": (b"X\1\0\0\0\xff", "not UTF-8"),
    "a name without an end": (b"cos", "name without an end"),
    "a value that is not remembered": (b"h\0", "not remembered"),
    "remembered out of turn": (b"}q\1", "out of turn"),
    "a call of no function": (b"}" + text("a") + b"N)Rs", "no function of tensors"),
    "a call of a type": (b"ctorch\nFloatStorage\n)R", "no function of tensors"),
    "a call without arguments": (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "has 0 arguments"),
    "a list as a key": (b"}]Ns", "a key that is a list"),
    "a large number as a key": (b"}\x8a\x09" + bytes(8) + b"\1Ns", "a key that is a int"),
    "a key twice": (b"}(" + 2 * (text("a") + b"N") + b"u", "stands twice"),
    "a key without a value": (b"}(Nu", "without a value"),
    "attributes of a dictionary": (b"}}b", "no Ordered"),
    "attributes that are none": (ordered() + b"Nb", "no dictionary"),
    "another protocol": (None, "no pickle of protocol 2"),
    "an instruction that nothing needs": (b"0", "instruction b'0'"),
    "a long pickle": (b"N" * 5_000_000, "an entry 'a/data.pkl' of 5000003 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_PICKLES)
def test_broken_pickles(case, path):
    pickled, words = BROKEN_PICKLES[case]
    data = (
        torch_archive(pickled)
        if pickled is not None
        else archived([("a/data.pkl", b"\x80\x04N."), ("a/version", b"3")])
    )
    refused(path, data, words)


INT = b"J\xff\xff\xff\x7f"
BOMBS = {
    "dictionaries": b"}",
    "lists": b"]",
    "marks": b"(",
    "texts": b"X\5\0\0\0\xf0\x9f\x98\x80a",
    "numbers": INT,
    "floats": b"G12345678",
    "names": b"ctorch\nfloat32\n",
    "objects": ordered(),
    "dictionaries with something in them": b"}K\0Ns",
    "tensors": tensor(shape=(1,), stride=(0,), count=2000),
    "tuples": b"(" + INT * 5 + b"t",
}


@pytest.mark.parametrize("case", [*BOMBS, "deep", "entries", "elements", "remembered"])
def test_what_a_pickle_makes_is_counted(case, monkeypatch):
    """Against a limit, here of one MB, with which the memory that it takes keeps up."""
    limit = 1 << 20
    monkeypatch.setattr(torch_pickle, "_MOST_MEMORY", limit)
    pickled = {
        "deep": b"]" + b"\x85" * 20_000,
        "entries": b"}" + b"".join(b"J" + struct.pack("<i", i) + b"Ns" for i in range(10_000)),
        "elements": b"](" + INT * 30_000 + b"e",
        "remembered": b"}q\0" + b"".join(b"r" + struct.pack("<I", i) for i in range(1, 80_000)),
    }.get(case) or BOMBS[case] * 40_000
    pickled = b"\x80\x02" + pickled + b"."
    with measured() as peak, pytest.raises(fnn.WeightsError, match="more objects than are read"):
        torch_pickle.load(pickled)
    assert peak() < limit + 100_000


def test_the_limit_lets_large_models_through():
    count = 15_000
    pickled = b"}(" + b"".join(text(f"layers.{i}.weight") + tensor(key=str(i)) for i in range(count)) + b"u"
    tree = torch_pickle.load(b"\x80\x02" + pickled + b".")
    assert len(tree) == count


def test_long_names_are_cut(path):
    long = text("x" * 100_000)
    refused(path, torch_archive(b"}(" + 2 * (long + b"N") + b"u"), "stands twice")
    refused(path, torch_archive(b"}" + long + b"Ns"), "'xxx")
    refused(
        path, torch_archive(b"}(" + long + b"}" + text("a") + of(tensor()) + text("b") + of(tensor()) + b"u"), "several"
    )
    path.write_bytes(torch_archive(of(tensor()), **EIGHT))
    with pytest.raises(fnn.WeightsError, match="has no 'yyy") as caught:
        fnn.load_weights(path, key="y" * 10_000)
    assert len(str(caught.value)) < 1000


def test_archives_beyond_four_gigabytes(path, monkeypatch):
    """Their sizes and places are of 64 bits; here those of a small one."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1)
    path.write_bytes(torch_archive(of(tensor()), **{"0": struct.pack("<ff", 1.5, 2.5)}))
    assert b"PK\6\6" in path.read_bytes()
    assert fnn.load_weights(path)["0"].tolist() == [1.5, 2.5]


def test_a_storage_under_two_types(path):
    refused(path, torch_archive(of(tensor(), tensor(kind="IntStorage")), **EIGHT), "two storages have one key")


CODE = {
    "a global": b"cos\nsystem\n(" + text("touch ran") + b"tR",
    "a global in two parts": b"ctorch._utils._rebuild_tensor_v2\n__globals__\n",
    "an instance": b"(" + text("touch ran") + b"ios\nsystem\n",
    "an object": b"(cos\nsystem\n" + text("touch ran") + b"o",
    "a new object": b"cos\nsystem\n(" + text("touch ran") + b"t\x81",
    "a text as a name": text("os") + text("system") + b"\x93",
    "an extension": b"\x82\1",
    "a buffer": b"\x97",
    "a persistent text": b"Px\n",
}


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("case", [*CODE, "by pickle"])
def test_no_code_runs(case, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    pickled = CODE[case] if case in CODE else pickle.dumps(Runs(), 2)[2:-1]
    refused(path, torch_archive(pickled), "names '|the pickle instruction")
    assert os.listdir() == [path.name]


# ---- archives -----------------------------------------------------------------------------------------------------------


def test_compressed_archives_are_refused(path):
    """100 MB of zeros, in 100 KB."""
    storages = {
        "a/data.pkl": b"\x80\x02" + of(tensor(count=1 << 24)) + b".",
        "a/version": b"3",
        "a/data/0": bytes(100 << 20),
    }
    refused(path, archived(storages.items(), zipfile.ZIP_DEFLATED), "compressed entries")


def changed(data, place, form, value):
    edited = bytearray(data)
    struct.pack_into(form, edited, place if place >= 0 else len(data) + place, value)
    return bytes(edited)


def test_archives_of_many_entries_are_refused(path):
    data = changed(changed(archived([("a/b", b"")]), -12, "<H", 40_000), -14, "<H", 40_000)
    refused(path, data, "an archive of 40000 entries")


@pytest.mark.parametrize(
    ("place", "form", "value", "words"),
    [
        (-12, "<H", 9, "damaged zip archive"),  # number of entries
        (-6, "<I", 0, "damaged zip archive"),  # place of the directory
        (-10, "<I", 0xFFFFFFF0, "damaged zip archive"),  # its size
        (-2, "<H", 1, "damaged zip archive"),  # a comment that is not there
        (6, "<H", 1, "not what the directory says"),  # encryption
        (26, "<H", 0xFFFF, "reaches beyond|not what"),  # length of the first name
    ],
)
def test_archives_whose_numbers_do_not_fit(place, form, value, words, path):
    refused(path, changed(torch_archive(of(tensor()), **EIGHT), place, form, value), words)


def test_a_changed_number_is_noticed(path):
    data = torch_archive(of(tensor()), **{"0": b"\x07" * 8})
    refused(path, data.replace(b"\x07" * 8, b"\x07" * 7 + b"\x06"), "the checksum of 'a/data/0' differs")


# ---- memory -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F32", "BF16", "F64"])
def test_reading_takes_little_more_than_the_arrays(kind, path):
    width = {"F32": 4, "BF16": 2, "F64": 8}[kind]
    count = 12_000_000
    path.write_bytes(header(bytes(count * width), a=entry([count], 0, count * width, kind)))
    with measured() as peak:
        arrays = fnn.load_weights(path)
    assert peak() < sum(array.nbytes for array in arrays.values()) + (20 << 20)


def test_reading_a_part_of_a_torch_file_takes_little_more_than_that(path):
    large, small = 12_000_000, 6
    pickled = b"}(" + text("model") + of(tensor()) + text("large") + tensor((large,), (1,), 0, large, key="1") + b"u"
    path.write_bytes(torch_archive(pickled, **EIGHT, **{"1": bytes(4 * large)}))
    with measured() as peak:
        arrays = fnn.load_weights(path)
    assert list(arrays) == ["0"]
    assert peak() < 20 << 20
    pickled = of(tensor((large // 4, 4), (1, large // 4), 0, large, key="1"), tensor((small,), (0,)))
    path.write_bytes(torch_archive(pickled, **EIGHT, **{"1": bytes(4 * large)}))
    with measured() as peak:
        arrays = fnn.load_weights(path)
    assert [array.shape for array in arrays.values()] == [(large // 4, 4), (small,)]
    assert peak() < 4 * large + (20 << 20)


def test_writing_takes_little_beside_the_arrays(path):
    strided = np.zeros((3000, 4000), np.float32).T
    with measured() as peak:
        fnn.save_weights({"a": strided}, path)
    assert peak() < 20 << 20
    assert path.stat().st_size > strided.nbytes
