"""Checkpoints: exact round trips, whole or not at all, and no trust in the file."""

import io
import json
import math
import os
import pickle
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastnn.checkpoint import FORMAT, HEADER, VERSION, CheckpointError, load_checkpoint, save_checkpoint


def sample_state():
    rng = np.random.default_rng(5)
    return {
        "model": {"0.weight": rng.normal(size=(4, 3)).astype(np.float32), "0.bias": np.zeros(4), "steps": np.array(7)},
        "optimizer": {"lr": 0.1, "betas": (0.9, 0.999), "state": [{"exp_avg": np.ones((2, 0, 3))}, {}]},
        "rng": rng.bit_generator.state,
        "history": [{"loss": math.inf, "nan": -math.inf}, None, True, "ü/\\"],
        "a/b": {"c": np.array([True, False])},
        "a": {"b/c": np.array([1 + 2j])},
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">f8"),
    }


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()
    else:
        assert a == b


def write_archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)


def header(state, **changes):
    return json.dumps({"format": FORMAT, "version": VERSION, "state": state} | changes)


def npy(array, **kw):
    file = io.BytesIO()
    np.save(file, array, **kw)
    return file.getvalue()


def npy_claiming(shape, descr="<f4", data=b""):
    """An npy file whose header says what we like."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "a.npz"
    save_checkpoint(path, sample_state())
    assert_same(sample_state(), load_checkpoint(path))


def test_arrays_are_writable_and_own_their_memory(tmp_path):
    save_checkpoint(tmp_path / "a", {"x": np.ones(3)})
    x = load_checkpoint(tmp_path / "a")["x"]
    assert x.flags.writeable
    assert x.flags.owndata
    x += 1


def test_generator_state_resumes(tmp_path):
    rng = np.random.default_rng(1)
    rng.normal(size=5)
    save_checkpoint(tmp_path / "a", {"rng": rng.bit_generator.state})
    other = np.random.default_rng()
    other.bit_generator.state = load_checkpoint(tmp_path / "a")["rng"]
    assert (rng.integers(0, 2**40, 9) == other.integers(0, 2**40, 9)).all()


def test_equal_states_give_equal_files_without_extension(tmp_path):
    for name in "ab":
        save_checkpoint(tmp_path / name, sample_state())
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_scalars_become_python_numbers(tmp_path):
    save_checkpoint(
        tmp_path / "a", {"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True), "d": np.float64("nan")}
    )
    loaded = load_checkpoint(tmp_path / "a")
    assert loaded["a"] == float(np.float32(0.1))
    assert loaded["b"] == 3
    assert loaded["c"] is True
    assert math.isnan(loaded["d"])


def test_numpy_opens_the_file_too(tmp_path):
    save_checkpoint(tmp_path / "a.npz", {"model": {"0.weight": np.arange(3)}})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert (file["model/0.weight"] == np.arange(3)).all()
        assert json.loads(file[HEADER])["format"] == FORMAT


@pytest.mark.parametrize(
    "state",
    [
        {"x": np.array([None])},
        {"x": np.array(["a"])},
        {"x": object()},
        {"x": b"bytes"},
        {"x": {1, 2}},
        {1: 2},
        {"$array": "x"},
        {"deep": [{"x": lambda: 0}]},
        [1, 2],
        {"x": np.zeros(2, dtype=[("a", "f4")])},
        {"x": np.ma.array([1.0, 2.0], mask=[True, False])},
        {"x": np.ma.array([1.0, 2.0])},
    ],
)
def test_what_cannot_be_saved_is_refused_before_writing(tmp_path, state):
    with pytest.raises(TypeError, match=r"^save_checkpoint: "):
        save_checkpoint(tmp_path / "a", state)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"a" * 70_000: np.ones(1)}, "an array under a name of 70004 bytes"),
        ({"a" * 40_000: {"b" * 40_000: np.ones(1)}}, "an array under a name of 80005 bytes"),
        ({"\ud800": np.ones(1)}, "has a key that is no text"),
        ({"x": [0] * (1 << 20)}, "store long lists as arrays"),
        ({"x": [[]] * (1 << 17)}, "store long lists as arrays"),
        ({"x": "a" * (16 << 20)}, "store long lists as arrays"),
    ],
)
def test_what_could_not_be_loaded_is_refused_before_writing(tmp_path, state, text):
    with pytest.raises(ValueError, match=rf"^save_checkpoint: .*{text}") as caught:
        save_checkpoint(tmp_path / "a", state)
    assert len(str(caught.value)) < 500
    assert os.listdir(tmp_path) == []


def test_what_is_nearly_too_much_is_saved_and_loaded(tmp_path):
    state = {
        "a" * 65_000: np.ones(1),
        "steps": list(range(500_000)),
        "\ud800": "\ud800",
        "lists": [[] for _ in range(50_000)],
    }
    save_checkpoint(tmp_path / "a", state)
    assert_same(state, load_checkpoint(tmp_path / "a"))


@pytest.mark.parametrize("body", ["[" + "[]," * (1 << 17) + "0]", "[" + "0," * (1 << 20) + "0]"])
def test_headers_of_many_parts_are_refused(tmp_path, body):
    """Before they are parsed, to many times their size."""
    write_archive(tmp_path / "bad", [(HEADER, header(None).replace("null", '{"x":' + body + "}"))])
    with pytest.raises(CheckpointError, match="more lists, dictionaries and numbers than are ever saved"):
        load_checkpoint(tmp_path / "bad")


def test_message_says_where(tmp_path):
    with pytest.raises(TypeError, match=r"state\['a'\]\['0'\]\['b'\] is a set"):
        save_checkpoint(tmp_path / "a", {"a": [{"b": set()}]})


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save_checkpoint(path, {"epoch": 1})
    before = path.read_bytes()

    def fail(*args, **kw):
        raise KeyboardInterrupt

    for victim in ("write_array", "fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(np.lib.format if victim == "write_array" else os, victim, fail)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(path, {"epoch": 2, "x": np.ones(1000)})
        assert os.listdir(tmp_path) == ["a.npz"]
        assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_and_links_are_kept(tmp_path):
    path = tmp_path / "a.npz"
    save_checkpoint(path, {})
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    save_checkpoint(tmp_path / "link", {"epoch": 2})
    assert (tmp_path / "link").is_symlink()
    assert load_checkpoint(path) == {"epoch": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="special files")
def test_special_files_are_left_as_they_are(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    before = os.stat("/dev/null")
    for name, text in [
        (tmp_path / "pipe", "no regular file"),
        ("/dev/null", "no regular file"),
        (tmp_path / "link", "no regular file"),
        (tmp_path / "folder", "a folder"),
        ("", "the name of the file is empty"),
    ]:
        with pytest.raises(CheckpointError, match=rf"^save_checkpoint: .*{text}"):
            save_checkpoint(name, {})
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.stat("/dev/null").st_ino == before.st_ino
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]


@pytest.mark.skipif(os.name != "posix", reason="lengths of names")
@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "数" * 84 + ".ab", "a" * 99 + "数" * 50])
def test_long_names(tmp_path, name):
    """Up to what the file system takes: 255 bytes."""
    for epoch in range(2):
        save_checkpoint(tmp_path / name, {"epoch": epoch})
    assert os.listdir(tmp_path) == [name]
    assert load_checkpoint(tmp_path / name) == {"epoch": 1}
    with pytest.raises(OSError, match="name too long"):
        save_checkpoint(tmp_path / (name + "a" * 8), {})


KILLED = """
import os, sys, numpy as np
from fastnn import save_checkpoint
real = os.fsync
def stop(descriptor):
    real(descriptor)
    print("written", flush=True)
    sys.stdin.read()
os.fsync = stop
save_checkpoint(sys.argv[1], {"x": np.ones(1000)})
"""


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_files_of_killed_writers_are_removed_and_those_of_live_ones_are_not(tmp_path):
    path = tmp_path / "a.npz"
    command = [sys.executable, "-c", KILLED, str(path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "written\n"
    mine = [tmp_path / name for name in (".a.npz.tmp", ".a.npz.0123.tmp", ".b.npz.0123456789abcdef.tmp")]
    for file in mine:
        file.write_text("somebody's")
    names = [".a.npz.0123456789abcdef.tmp", ".a.npz.fedcba9876543210.tmp"]
    (tmp_path / names[0]).symlink_to(mine[0])
    os.mkfifo(tmp_path / names[1])
    writers[0].kill()
    writers[0].communicate()
    assert len(os.listdir(tmp_path)) == 2 + len(mine) + len(names)
    save_checkpoint(path, {"epoch": 1})
    left = set(os.listdir(tmp_path)) - {file.name for file in mine} - set(names) - {"a.npz"}
    assert len(left) == 1
    assert load_checkpoint(path) == {"epoch": 1}
    assert writers[1].communicate("")[1] is None  # the other one goes on
    assert (load_checkpoint(path)["x"] == 1).all()
    assert set(os.listdir(tmp_path)) == {file.name for file in mine} | set(names) | {"a.npz"}


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_file_systems_without_locks(tmp_path, monkeypatch):
    import fcntl

    def refuse(*args):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".a.0123456789abcdef.tmp").write_text("perhaps still written")
    save_checkpoint(tmp_path / "a", {"epoch": 1})
    assert load_checkpoint(tmp_path / "a") == {"epoch": 1}
    assert sorted(os.listdir(tmp_path)) == [".a.0123456789abcdef.tmp", "a"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_checkpoint(tmp_path / "no" / "a", {})
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "no")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_checkpoint(tmp_path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("ran",))


HOSTILE = {
    "empty": [],
    "no header": [("x.npy", npy(np.ones(2)))],
    "foreign format": [(HEADER, json.dumps({"format": "other", "version": 1, "state": {}}))],
    "header is a list": [(HEADER, "[]")],
    "header is no JSON": [(HEADER, "{")],
    "header is no UTF-8": [(HEADER, b"\xff\xfe")],
    "header nested deeply": [(HEADER, "[" * 100_000)],
    "state nested deeply": [(HEADER, header(None).replace("null", '{"a":' * 900 + "0" + "}" * 900))],
    "number too long": [(HEADER, header(None).replace("null", "1" * 10_000))],
    "newer version": [(HEADER, header({}, version=VERSION + 1))],
    "version 0": [(HEADER, header({}, version=0))],
    "version true": [(HEADER, header({}, version=True))],
    "no state": [(HEADER, json.dumps({"format": FORMAT, "version": 1}))],
    "state is a list": [(HEADER, header([]))],
    "missing array": [(HEADER, header({"x": {"$array": "x"}}))],
    "array named twice": [(HEADER, header({"x": {"$array": "x"}, "y": {"$array": "x"}})), ("x.npy", npy(np.ones(2)))],
    "array not named": [(HEADER, header({})), ("x.npy", npy(np.ones(2)))],
    "foreign entry": [(HEADER, header({})), ("x.py", b"raise SystemExit")],
    "unknown mark": [(HEADER, header({"x": {"$code": "x"}}))],
    "array name no string": [(HEADER, header({"x": {"$array": ["x"]}})), ("x.npy", npy(np.ones(2)))],
    "mark with more": [(HEADER, header({"x": {"$array": "x", "y": 1}})), ("x.npy", npy(np.ones(2)))],
    "float no float": [(HEADER, header({"x": {"$float": "1e5"}}))],
    "not npy": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", b"hello")],
    "pickled array": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy(np.array([Bomb()]), allow_pickle=True))],
    "pickle": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", pickle.dumps(Bomb()))],
    "code as dtype": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((1,), "__import__('os')"))],
    "shape too large": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((2**40,)))],
    "shape overflows": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((2**32, 2**32)))],
    "shape negative": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((-1, -1), data=b"1234"))],
    "shape too small": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((1,), data=b"12345678"))],
    "too many axes": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy_claiming((1,) * 33 + (0,) * 33))],
    "strings": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy(np.array(["a"])))],
    "npy version 3": [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", b"\x93NUMPY\x03\x00" + bytes(50))],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.npz"
    write_archive(path, HOSTILE[kind])
    with pytest.raises(CheckpointError, match=r"^load_checkpoint: '.*bad\.npz' ") as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 1000
    assert not os.path.exists("ran")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_entries_are_refused(tmp_path):
    write_archive(tmp_path / "bad", [(HEADER, header({})), (HEADER, header({"x": 1}))])
    with pytest.raises(CheckpointError, match="two entries have one name"):
        load_checkpoint(tmp_path / "bad")


def test_compressed_bombs_are_refused(tmp_path):
    entries = [(HEADER, header({"x": {"$array": "x"}})), ("x.npy", npy(np.zeros(10**7)))]
    write_archive(tmp_path / "bad", entries, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bad").stat().st_size < 10**6
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(tmp_path / "bad")


@pytest.mark.parametrize("data", [b"", b"PK", b"\x00" * 1000, pickle.dumps(Bomb()), npy(np.ones(3))])
def test_other_files_are_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(CheckpointError, match="not a fastnn checkpoint"):
        load_checkpoint(tmp_path / "bad")
    assert not os.path.exists("ran")


def test_plain_npz_is_foreign(tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.ones(3))
    with pytest.raises(CheckpointError, match="not a fastnn checkpoint"):
        load_checkpoint(tmp_path / "bad.npz")


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, {"x": np.arange(4), "epoch": 3})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_give_the_same_state_or_an_error(tmp_path, data):
    """A flipped byte is caught by a CRC, or lies where nothing is read from."""
    path = tmp_path / "a"
    state = {"x": np.arange(4), "epoch": 3}
    save_checkpoint(path, state)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        loaded = load_checkpoint(path)
    except CheckpointError:
        return
    assert_same(state, loaded)


def test_public_names():
    import fastnn

    assert fastnn.save_checkpoint is save_checkpoint
    assert fastnn.load_checkpoint is load_checkpoint
    assert fastnn.CheckpointError is CheckpointError
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fastnn.nonsense
