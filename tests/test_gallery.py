"""The gallery: its numbers, its pictures, and the page that names them."""

import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import fastnn.gallery
from command_line import fails
from fastnn.cli import main
from fastnn.data import MissingExtraError
from fastnn.gallery import ENTRIES, Entry, Studio, write_gallery
from fastnn.gallery.page import THEMES, files_of, page_of
from pictures import leaves, pyplot

VOID = {"meta", "img", "source", "br", "link"}


class Page(HTMLParser):
    """The elements of a page; refuses what is not closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open:
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


# ---- the table -----------------------------------------------------------------------------------------------------------


def test_names_are_distinct_and_fit_for_files():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_explained(entry):
    assert entry.title[0].isupper()
    assert not entry.title.endswith(".")
    assert len(entry.paragraph.split()) >= 30
    assert entry.paragraph.endswith(".")
    assert 8 <= len(entry.alt.split()) <= 60
    assert entry.inches[0] == 8


@pytest.fixture(scope="module")
def numbers():
    """What gives the numbers of an entry, which are computed once."""
    pytest.importorskip("sklearn")
    studio, known = Studio(0), {}

    def of(name):
        if name not in known:
            known[name] = next(entry for entry in ENTRIES if entry.name == name).compute(studio)
        return known[name]

    return of


# One of each module, and what depends on networks that entries share.
REPEATED = (
    "gradients-by-layer",
    "rates",
    "loss-of-a-network",
    "wide-layers",
    "inside-batch-norm",
    "feature-maps",
    "ensembles",
)


@pytest.mark.parametrize("name", REPEATED)
def test_the_numbers_follow_from_the_seed(name, numbers):
    entry = next(entry for entry in ENTRIES if entry.name == name)
    assert list(leaves(dict(numbers(name)))) == list(leaves(dict(entry.compute(Studio(0)))))


def test_another_seed_gives_other_numbers(numbers):
    entry = next(entry for entry in ENTRIES if entry.name == "rates")
    assert list(leaves(dict(numbers("rates")))) != list(leaves(dict(entry.compute(Studio(1)))))


# ---- what the pictures say -----------------------------------------------------------------------------------------------


def test_gradients_vanish_and_explode_as_the_page_says(numbers):
    ratio = {name: sizes[0] / sizes[-1] for name, sizes in numbers("gradients-by-layer").items()}
    assert ratio["sigmoid, Xavier"] < 1e-8
    assert ratio["tanh, normal of 0.01"] < 1e-12
    assert ratio["ReLU, normal of 0.3"] > 1e3
    assert all(
        0.1 < ratio[name] < 10 for name in ("tanh, Xavier", "ReLU, He", "sigmoid, batch norm", "sigmoid, shortcuts")
    )


def test_an_open_forget_gate_keeps_the_gradient(numbers):
    sizes = numbers("gradients-through-time")
    assert sizes["RNN, weights × 0.7"][0] < 1e-6
    assert sizes["LSTM, forget gate's bias 3"][0] > 1e-2
    assert sizes["RNN with ReLU, weights × 2"][0] > 1e3


def test_norms_bring_together_what_their_definitions_say(numbers):
    shared = numbers("normalisations")
    expected = {name: np.zeros((4, 6), bool) for name in shared}
    expected["batch norm"][:, 2] = True
    expected["layer norm"][1] = True
    expected["instance norm"][1, 2] = True
    expected["group norm, 2 groups"][1, :3] = True
    for name, squares in expected.items():
        np.testing.assert_array_equal(shared[name], squares)


def test_prepared_data_have_the_moments_they_should(numbers):
    prepared = numbers("prepared-data")
    for name, points in list(prepared.items())[1:]:
        np.testing.assert_allclose(points.mean(0), 0, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(prepared["scaled: deviation 1"].std(0), 1)
    np.testing.assert_allclose(np.cov(prepared["whitened (ZCA)"].T, bias=True), np.eye(2), atol=1e-8)
    assert abs(np.cov(prepared["decorrelated (PCA)"].T)[0, 1]) < 1e-10


def test_l1_gives_a_zero_and_l2_does_not(numbers):
    paths = numbers("l1-and-l2")
    middle = len(paths["L1"]) // 2
    assert (paths["L1"][:, 1] == 0).any()
    assert paths["L1"][(paths["L1"][:, 1] == 0), 0].max() > 0.5
    assert (np.abs(paths["L2"][middle]) > 0).all()


def test_the_large_network_overfits(numbers):
    fits = numbers("under-and-overfitting")
    losses = {name: found["history"][-1] for name, found in fits.items()}
    best = {name: min(record["validation_loss"] for record in found["history"]) for name, found in fits.items()}
    small, right, large = losses
    assert losses[small]["train_loss"] > losses[right]["train_loss"] > losses[large]["train_loss"]
    assert losses[large]["validation_loss"] > 1.5 * best[large]
    assert losses[small]["validation_loss"] < 1.2 * best[small]


def test_a_straight_line_parts_the_curves_in_the_end(numbers):
    maps = numbers("bending")["maps"]
    assert maps[0].decided.right < 0.9
    assert maps[-1].decided.right == 1


# ---- files ---------------------------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_shows_every_entry():
    page = Page(page_of(ENTRIES, 7))
    assert [attributes["id"] for attributes in page.of("section")] == [entry.name for entry in ENTRIES]
    assert [attributes["href"] for attributes in page.of("a")] == [f"#{entry.name}" for entry in ENTRIES]
    assert page.texts["h2"] == [entry.title for entry in ENTRIES]
    assert page.texts["p"][1:] == [entry.paragraph for entry in ENTRIES]
    assert [attributes["alt"] for attributes in page.of("img")] == [entry.alt for entry in ENTRIES]
    assert page.of("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.of("meta")


def test_the_page_names_the_files_of_its_entries_and_nothing_elsewhere():
    page = Page(page_of(ENTRIES, 0))
    named = [attributes["src"] for attributes in page.of("img")] + [a["srcset"] for a in page.of("source")]
    assert sorted(set(named)) == sorted(file for entry in ENTRIES for file in files_of(entry))
    assert "://" not in page_of(ENTRIES, 0)
    assert all("dark" in a["media"] for a in page.of("source") if "dark" in a["srcset"])


def _dot(figure, numbers):
    figure.subplots().plot(numbers["x"])


def _moving(figure, numbers):
    (line,) = figure.subplots().plot(numbers["x"])
    return lambda frame: line.set_ydata(numbers["x"] * frame)


def _random(studio):
    return {"x": studio.rng("x").normal(size=5)}


SMALL = (
    Entry("dot", "A <dot>", "It is & stays.", 'A "dot"', _random, _dot, (2.0, 1.0)),
    Entry("moving", "A line", "It moves.", "A line", _random, _moving, (2.0, 1.0), frames=3),
)


def test_pictures_are_written_light_and_dark(tmp_path):
    image = pytest.importorskip("PIL.Image")
    before = dict(pyplot.rcParams)
    told = []
    page = write_gallery(tmp_path / "new" / "folder", SMALL, tell=lambda entry, place: told.append((entry.name, place)))
    assert page == str(tmp_path / "new" / "folder" / "index.html")
    assert told == [("dot", 1), ("moving", 2)]
    folder = tmp_path / "new" / "folder"
    files = sorted(path.name for path in folder.iterdir())
    assert files == sorted(["index.html", *(file for entry in SMALL for file in files_of(entry))])
    for theme in THEMES:
        with image.open(folder / f"dot-{theme}.png") as picture:
            assert picture.size == (280, 140)
            corner = picture.convert("RGB").getpixel((0, 0))
        assert corner == ((255, 255, 255) if theme == "light" else (21, 23, 26))
        with image.open(folder / f"moving-{theme}.gif") as gif:
            assert gif.n_frames == 3
            assert gif.convert("RGB").getpixel((0, 0)) == corner
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "A &lt;dot&gt;" in text
    assert 'alt="A &quot;dot&quot;"' in text
    Page(text)
    assert dict(pyplot.rcParams) == before
    assert pyplot.get_fignums() == []


def test_the_same_seed_gives_the_same_files(tmp_path):
    for folder in ("a", "b"):
        write_gallery(tmp_path / folder, SMALL, seed=3)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_processes_make_no_difference(tmp_path):
    chosen = [entry for entry in ENTRIES if entry.name in ("gradients-through-time", "normalisations")]
    for processes in (1, 2):
        told = []
        write_gallery(tmp_path / str(processes), chosen, 0, lambda entry, place: told.append(place), processes)  # noqa: B023
        assert told == [1, 2]
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


def test_what_goes_wrong_in_another_process_is_said(tmp_path):
    broken = ENTRIES[0]._replace(compute=math.sqrt)
    with pytest.raises(TypeError, match="must be real number, not Studio"):
        write_gallery(tmp_path, [broken], processes=2)


def test_a_gallery_is_replaced_but_no_other_page(tmp_path):
    write_gallery(tmp_path, SMALL)
    write_gallery(tmp_path, SMALL[:1])
    (tmp_path / "index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^gallery: '.*index.html' is there and was not written by fastnn"):
        write_gallery(tmp_path, SMALL)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "<h1>mine</h1>"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_picture_is_drawn_and_nothing_is_cut_off(entry, numbers):
    from matplotlib.figure import Figure

    figure = Figure(figsize=entry.inches, layout="constrained")
    show = entry.draw(figure, numbers(entry.name))
    assert (show is not None) == (entry.frames > 0)
    if show is not None:
        show(0)
        show(entry.frames - 1)
    figure.draw_without_rendering()
    needed, (width, height) = figure.get_tightbbox(), entry.inches
    assert min(needed.x0, needed.y0) > -0.01
    assert needed.x1 < width + 0.01
    assert needed.y1 < height + 0.01
    labelled = [ax for ax in figure.axes if ax.get_xlabel() or ax.get_ylabel() or ax.get_title()]
    assert labelled


def test_the_command_says_where_the_page_is(monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(fastnn.gallery, "ENTRIES", SMALL)
    assert main(["gallery", str(tmp_path / "out"), "--seed", "5", "--jobs", "1"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert err.splitlines() == ["1/2 A <dot>", "2/2 A line"]
    assert "seed 5" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_the_command_refuses(monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(fastnn.gallery, "ENTRIES", SMALL)
    (tmp_path / "file").write_text("text", encoding="utf-8")
    assert "file" in fails(capsys, "gallery", str(tmp_path / "file"))
    assert "must be at least 1, got 0" in fails(capsys, "gallery", str(tmp_path), "--jobs", "0")
    assert "must be at least 0, got -1" in fails(capsys, "gallery", str(tmp_path), "--seed", "-1")
    assert "OUT" in fails(capsys, "gallery")


def test_missing_extras_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    digits = [entry for entry in ENTRIES if entry.name == "filters"]
    with pytest.raises(MissingExtraError, match=r"scikit-learn: pip install 'fastnn\[demo\]'"):
        write_gallery(tmp_path, digits)
    assert "the gallery needs scikit-learn: pip install 'fastnn[demo]'" in fails(
        capsys, "gallery", str(tmp_path / "new")
    )
    assert not (tmp_path / "new").exists()
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"the gallery needs Matplotlib: pip install 'fastnn\[plot\]'"):
        write_gallery(tmp_path, SMALL)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, fastnn.gallery; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
