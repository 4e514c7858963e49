"""Files of weights, damaged at random and read twice: by `fastnn.load_weights`, and by the library whose format it is.

``python tools/fuzz_weights.py`` reads a thousand of each; `test_broken_weights.py` some. What a seed gives is always the same.
"""

import io
import json
import pickletools
import re
import struct
import warnings
import zipfile

import numpy as np

import fastnn as fnn

# ---- safetensors --------------------------------------------------------------------------------------------------------

CODES = ("BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64", "C64")


def safetensors_file(rng):
    """A whole file, made by hand so that it has every type."""
    header, body = {}, b""
    for i in range(rng.integers(1, 6)):
        code = str(rng.choice(CODES))
        shape = rng.integers(0, 4, rng.integers(0, 4)).tolist()
        width = {"BOOL": 1, "BF16": 2, "C64": 8}.get(code) or int(code[1:]) // 8
        values = rng.integers(0, 2 if code == "BOOL" else 256, int(np.prod(shape)) * width, np.uint8).tobytes()
        header[f"layer{i}.weight"] = {
            "dtype": code,
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(values)],
        }
        body += values
    if rng.random() < 0.5:
        header["__metadata__"] = {"format": "pt"}
    return with_header(json.dumps(header).encode(), body)


def with_header(text, body):
    return struct.pack("<Q", len(text)) + text + body


def parts(data):
    end = 8 + int.from_bytes(data[:8], "little")
    return data[8:end], data[end:]


def safetensors_meaning(data):
    """What the package ``safetensors`` reads, or None; what it leaves to its users is done here."""
    import safetensors

    try:
        listed = safetensors.deserialize(data)
        return {name: numbers(bytes(entry["data"]), entry["dtype"], entry["shape"]) for name, entry in listed}
    except Exception:  # noqa: BLE001 - whatever stands in its way, or in that of NumPy: float8, an axis of 2 ** 63
        return None


LETTERS = {"BOOL": "?", "BF16": "<u2", "C64": "<c8"}


def numbers(data, code, shape):
    values = np.frombuffer(data, LETTERS.get(code) or f"<{code[0].lower()}{int(code[1:]) // 8}").reshape(shape)
    if code == "BF16":
        return (values.astype("<u4") << 16).view("<f4")
    return half_to_single(values) if code == "F16" else values


def half_to_single(values):
    with np.errstate(invalid="ignore"):
        return values.astype(np.float32)


# ---- torch ----------------------------------------------------------------------------------------------------------------


def torch_file(rng):
    """What torch.save writes for tensors of all types and strides, alone or in a checkpoint."""
    import torch

    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool,
             torch.complex64, torch.int16, torch.int8, torch.uint16)  # fmt: skip
    state = {}
    for i in range(rng.integers(1, 5)):
        kind = kinds[rng.integers(len(kinds))]
        shape = rng.integers(1, 5, rng.integers(1, 4)).tolist()
        tensor = torch.from_numpy(rng.integers(0, 2, shape)).to(kind)
        if rng.random() < 0.3:
            tensor = tensor[1:] if rng.random() < 0.5 else tensor.permute(*reversed(range(tensor.ndim)))
        state[f"layer{i}.weight"] = tensor
    if rng.random() < 0.3:
        state["tied"] = state["layer0.weight"]
    if rng.random() < 0.3:
        state["one"] = torch.ones(1).expand(3)
    if rng.random() < 0.3:
        state["parameter"] = torch.nn.Parameter(torch.ones(2))
    if rng.random() < 0.5:
        state = {"model": state, "optimizer": {"state": {0: {"step": 3}}, "lr": [0.1]}, "epoch": 3}
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(entries, method=zipfile.ZIP_STORED):
    """A zip archive of (name, content), names twice if they come so."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # about names that stand twice
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def torch_meaning(data):
    """What torch.load reads of it with weights only, by the rules of `load_weights` on what is where; or None."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        part = weights_in(state, torch.Tensor)
        return None if part is None else {name: array_of(tensor, torch) for name, tensor in part.items()}
    except Exception:  # noqa: BLE001 - whatever stands in its way
        return None


def weights_in(state, kind):
    def holds(part):
        return isinstance(part, dict) and all(isinstance(k, str) and isinstance(v, kind) for k, v in part.items())

    if holds(state):
        return state
    found = [part for part in state.values() if part and holds(part)]
    return found[0] if len(found) == 1 else None


def array_of(tensor, torch):
    tensor = tensor.detach()
    if tensor.dtype == torch.float16:
        return half_to_single(tensor.numpy())
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


# ---- damage -------------------------------------------------------------------------------------------------------------


def cut(data, rng):
    return data[: rng.integers(len(data))]


def flip(data, rng):
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(len(changed), size=rng.integers(1, 4))
    changed[places] ^= np.uint8(1) << rng.integers(0, 8, len(places), np.uint8)
    return changed.tobytes()


def splice(data, rng):
    first, last = sorted(rng.integers(0, len(data), 2))
    to = rng.integers(len(data))
    return data[:to] + data[first:last] + data[to:]


def leave_out(data, rng):
    first = rng.integers(len(data))
    return data[:first] + data[first + rng.integers(1, 30) :]


def lengthen(data, rng):
    return data + rng.integers(0, 256, rng.integers(1, 30), np.uint8).tobytes()


def in_header(data, rng):
    """Bits of the header, with its length put right."""
    text, body = parts(data)
    change = (flip, splice, leave_out)[rng.integers(3)]
    return with_header(change(text, rng), body)


ODD = ('"F8_E4M3"', '"F32"', "-1", "1e2", "2.0", "true", "null", "[]", "{}", str(1 << 60), str(1 << 63), str(1 << 64), '"\\ud800"',
       '"__metadata__"', "00", "NaN", "[[[[", "0", "1", "3")  # fmt: skip


def edit_header(data, rng):
    """A value of the header replaced by an odd one."""
    text, body = parts(data)
    tokens = split_json(text.decode())
    values = [i for i, token in enumerate(tokens) if token.strip(" ,:[]{}")]
    tokens[rng.choice(values)] = str(rng.choice(ODD))
    return with_header("".join(tokens).encode(), body)


def split_json(text):
    """Texts, numbers and what is between them."""
    return re.findall(r'"[^"]*"|[0-9]+|[^"0-9]+', text)


def name_twice(data, rng):
    text, body = parts(data)
    entries = json.loads(text)
    name = str(rng.choice(list(entries)))
    return with_header(text[:-1] + f", {json.dumps(name)}: {json.dumps(entries[name])}}}".encode(), body)


def claim_length(data, rng):
    length = int(rng.choice(np.array([0, 7, 8, 1 << 20, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1], np.uint64)))
    return struct.pack("<Q", length) + data[8:]


def pad(data, rng):
    text, body = parts(data)
    return with_header(text + bytes(rng.choice([b" ", b"\n", b"\0", b"}"])) * int(rng.integers(1, 9)), body)


def edit_pickle(data, rng):
    """An instruction of the pickle left out, doubled, exchanged with another or given another argument."""
    return with_pickle(data, lambda pickled: edited(pickled, rng))


def flip_pickle(data, rng):
    return with_pickle(data, lambda pickled: flip(pickled, rng))


def with_pickle(data, change):
    return archived([(name, change(c) if name.endswith("/data.pkl") else c) for name, c in records(data).items()])


def instructions(pickled):
    places = [place for _, _, place in pickletools.genops(pickled)]
    return [pickled[a:b] for a, b in zip(places, [*places[1:], len(pickled)], strict=True)]


OTHER = (b"N", b"}", b"]", b")", b"(", b"t", b"R", b"b", b"s", b"a", b"u", b"Q", b"0", b"1", b"2", b"K\x00", b"K\x05", b"\x88", b"\x89",
         b"J\xff\xff\xff\xff", b"\x8a\x08" + bytes(7) + b"\x10", b"h\x00", b"h\x03", b"q\x07", b"cos\nsystem\n", b"ctorch\nFloatStorage\n",
         b"ctorch\nLongStorage\n", b"\x81", b"o", b"ios\nsystem\n", b"X\x01\x00\x00\x00a", b"\x85", b"\x86", b"G\x7f\xf0\0\0\0\0\0\0")  # fmt: skip


def edited(pickled, rng):
    parts = instructions(pickled)
    for _ in range(rng.integers(1, 3)):
        i, j = rng.integers(1, len(parts), 2)
        how = rng.integers(6)
        if how == 0:
            del parts[i]
        elif how == 1:
            parts.insert(i, parts[j])
        elif how == 2:
            parts[i], parts[j] = parts[j], parts[i]
        elif how == 3:
            parts[i] = OTHER[rng.integers(len(OTHER))]
        elif how == 4:
            parts.insert(i, OTHER[rng.integers(len(OTHER))])
        else:  # the argument of an instruction
            small = [k for k, part in enumerate(parts) if part[:1] == b"K"] or [i]
            parts[small[rng.integers(len(small))]] = b"K" + bytes([rng.integers(0, 12)])
    return b"".join(parts)


def edit_records(data, rng):
    """Entries of the archive left out, doubled, renamed, exchanged, cut, packed."""
    entries = list(records(data).items())
    i, j = rng.integers(0, len(entries), 2)
    name, content = entries[i]
    how = rng.integers(7)
    if how == 0:
        del entries[i]
    elif how == 1:
        entries.append((name, entries[j][1]))
    elif how == 2:
        entries[i] = (name + "x", content)
    elif how == 3:
        entries[i], entries[j] = (name, entries[j][1]), (entries[j][0], content)
    elif how == 4:
        entries[i] = (name, content[: len(content) // 2])
    elif how == 5:
        entries[i] = (name, content + b"\0" * 8)
    return archived(entries, zipfile.ZIP_DEFLATED if how == 6 else zipfile.ZIP_STORED)


def edit_small_records(data, rng):
    entries = records(data)
    small = [name for name, content in entries.items() if len(content) < 10]
    value = (b"big", b"little", b"1\n", b"10\n", b"11\n", b"", b"99999", b"x", b"-1")[rng.integers(9)]
    return archived((entries | {small[rng.integers(len(small))]: value}).items())


def flip_storage(data, rng):
    """Bits of numbers, with the checksum put right: the numbers are others, and that is all."""
    entries = records(data)
    storages = [name for name, content in entries.items() if "/data/" in name and content]
    name = storages[rng.integers(len(storages))]
    return archived((entries | {name: flip(entries[name], rng)}).items())


SAFETENSORS = (cut, flip, splice, leave_out, lengthen, in_header, edit_header, name_twice, claim_length, pad)
TORCH = (
    cut,
    flip,
    splice,
    leave_out,
    lengthen,
    edit_pickle,
    flip_pickle,
    edit_records,
    edit_small_records,
    flip_storage,
)
KINDS = {
    "safetensors": (safetensors_file, SAFETENSORS, safetensors_meaning),
    "pt": (torch_file, TORCH, torch_meaning),
}


def mutants(kind, count):
    """(how, content) of damaged files."""
    make, damage, _ = KINDS[kind]
    for seed in range(count):
        rng = np.random.default_rng(seed)
        how = damage[seed % len(damage)]
        yield how.__name__, how(make(rng), rng)


def compared(kind, data, path):
    """ "same", "both refuse", "refused here" or "refused there"; an assertion where both read and differ."""
    path.write_bytes(data)
    arrays, error = None, ""
    try:
        arrays = fnn.load_weights(path)
    except fnn.WeightsError as fault:
        error = str(fault)
    assert arrays is not None or str(path) in error
    assert len(error) < 1000
    expected = KINDS[kind][2](data)
    if arrays is None or expected is None:
        return {(True, True): "both refuse", (True, False): "refused here"}.get(
            (arrays is None, expected is None), "refused there"
        )
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype.newbyteorder("="), name
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
        assert array.shape == expected[name].shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
    return "same"
