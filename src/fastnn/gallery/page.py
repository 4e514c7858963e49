"""Makes the pictures and the page of the gallery."""

from __future__ import annotations

import html
import io
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import IO, Any

import numpy as np

from .. import backend, config
from .._atomic import write_atomically
from ..plots._style import matplotlib
from .entry import Entry, Numbers
from .studio import Studio

DPI = 140
"""Dots per inch of pictures that stand still: 1120 across, sharp on a telephone."""
_DPI_MOVING = 100
_COLOURS = 256  # of an animation, as many as there can be
_MILLISECONDS = 160  # for which a frame is shown
_PAUSE = 2000  # milliseconds for which the last frame is shown
_MARK = "fastnn gallery"  # by which a page that fastnn wrote is known

THEMES = {
    "light": {"figure.facecolor": "#ffffff", "axes.facecolor": "#ffffff", "savefig.facecolor": "#ffffff"},
    "dark": {"figure.facecolor": "#15171a", "axes.facecolor": "#15171a", "savefig.facecolor": "#15171a"},
}
"""Matplotlib's settings for each; the grounds are those of the page."""


def write_gallery(
    folder: str | os.PathLike[str],
    entries: Sequence[Entry],
    seed: int = 0,
    tell: Callable[[Entry, int], Any] = lambda entry, place: None,
    processes: int = 1,
) -> str:
    """Write all pictures and the page ``index.html``.

    Parameters
    ----------
    folder : path
        Where to; it is made if it is not there, and files of the same names are replaced.
    entries : sequence of Entry
        The pictures, in the order of the page.
    seed : int
        All numbers follow from it.
    tell : callable
        Called with each entry and its place, from 1, when it is done.
    processes : int
        How many entries are made at the same time. With more than one, each is made in a new Python process, which imports the
        program's main module: a script that calls this needs ``if __name__ == "__main__":``.

    Returns
    -------
    str
        The path of the page.

    Raises
    ------
    ValueError
        If the folder has an ``index.html`` that is not of a gallery.
    MissingExtraError
        If Matplotlib, or scikit-learn for the digits, is not installed.
    OSError
        If something cannot be written.
    """
    matplotlib("the gallery")
    place = os.fspath(folder)
    page = os.path.join(place, "index.html")
    _refuse_other(page)
    os.makedirs(place, exist_ok=True)
    with _made(place, entries, seed, processes) as made:
        for number, entry in enumerate(made, 1):
            tell(entry, number)
    _write(page, page_of(entries, seed).encode())
    return page


@contextmanager
def _made(folder: str, entries: Sequence[Entry], seed: int, processes: int) -> Iterator[Iterator[Entry]]:
    """The entries, each when its pictures are written."""
    make = partial(_make, folder=folder, seed=seed)
    if processes == 1:
        yield map(make, entries)
        return
    context = get_context("spawn")  # not forked, since this process may have threads
    settings = (backend.current_name(),)
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=settings) as pool:
        try:
            yield pool.map(make, entries)
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(kernels: str) -> None:
    """What a process does first that makes entries for another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one takes Ctrl-C
    backend.use_backend(kernels)
    config.set_num_threads(1)  # other processes keep the other cores busy


def _make(entry: Entry, folder: str, seed: int) -> Entry:
    write_pictures(folder, entry, entry.compute(_studio(seed)))
    return entry


@lru_cache(1)
def _studio(seed: int) -> Studio:
    """One for all entries, which share networks."""
    return Studio(seed)


def write_pictures(folder: str, entry: Entry, numbers: Numbers) -> None:
    """The files of an entry, light and dark."""
    places = None
    for theme in THEMES:
        with themed(theme):
            figure, show = _drawn(entry, numbers, places)
            if places is None:  # to find them takes as long as to draw, so they are found once
                figure.draw_without_rendering()
                places = [ax.get_position(original=True) for ax in figure.axes]
                figure.set_layout_engine("none")
            if show is not None:
                _write(os.path.join(folder, f"{entry.name}-{theme}.gif"), _animation(figure, show, entry.frames))
            _write(os.path.join(folder, f"{entry.name}-{theme}.png"), _still(figure))


def files_of(entry: Entry) -> list[str]:
    """The names of an entry's files."""
    kinds = ("gif", "png") if entry.frames else ("png",)
    return [f"{entry.name}-{theme}.{kind}" for theme in THEMES for kind in kinds]


def _refuse_other(page: str) -> None:
    if os.path.exists(page):
        with open(page, encoding="utf-8", errors="replace") as file:
            if _MARK not in file.read(2000):
                raise ValueError(f"gallery: {page!r} is there and was not written by fastnn; give another folder")


def _write(path: str, content: bytes) -> None:
    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_atomically(path, write)


# ---- pictures ------------------------------------------------------------------------------------------------------------


@contextmanager
def themed(theme: str) -> Iterator[None]:
    """Matplotlib's own defaults in a theme inside; afterwards the settings of before."""
    base = ["default"] if theme == "light" else ["default", "dark_background"]
    style = matplotlib("the gallery", "matplotlib.style")
    with style.context([*base, {**THEMES[theme], "font.size": 10.0, "axes.titlesize": "medium"}]):
        yield


def _drawn(entry: Entry, numbers: Numbers, places: list[Any] | None) -> tuple[Any, Callable[[int], None] | None]:
    """A figure that no window knows, of an animation in its last frame, and what shows another frame.

    Where axes are is for Matplotlib to find out, unless it is given.
    """
    layout = "constrained" if places is None else "none"
    figure = matplotlib("the gallery", "matplotlib.figure").Figure(figsize=entry.inches, layout=layout)
    show = entry.draw(figure, numbers)
    if show is not None:
        show(entry.frames - 1)
    for ax, place in zip(figure.axes, places or (), strict=False):
        ax.set_position(place)
    return figure, show


def _still(figure: Any) -> bytes:
    """A PNG of a figure as it is."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _animation(figure: Any, show: Callable[[int], None], count: int) -> bytes:
    """A GIF that goes round and round."""
    pillow = matplotlib("the gallery", "PIL.Image")
    canvas = matplotlib("the gallery", "matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.set_dpi(_DPI_MOVING)
    frames = []
    for frame in range(count):
        show(frame)
        canvas.draw()
        frames.append(pillow.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    reduced = _reduced(frames, pillow.Dither.NONE)
    buffer = io.BytesIO()
    durations = [_MILLISECONDS] * (count - 1) + [_PAUSE]
    reduced[0].save(buffer, "gif", save_all=True, append_images=reduced[1:], duration=durations, loop=0)
    return buffer.getvalue()


def _reduced(frames: list[Any], dither: Any) -> list[Any]:
    """Frames with common colours, of which the ground is exactly that of the page."""
    palette = frames[-1].quantize(_COLOURS)
    reduced = [frame.quantize(palette=palette, dither=dither) for frame in frames]
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colours[reduced[0].getpixel((0, 0))] = frames[0].getpixel((0, 0))
    for frame in reduced:
        frame.putpalette(colours.tobytes())
    return reduced


# ---- the page ------------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c1e21; --soft: #5b6168; --line: #d9dce0; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #e8eaed; --soft: #a2a8b0; --line: #33373d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 52rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .5rem; }
nav ol { columns: 16rem; padding-left: 1.5rem; margin: 0; }
nav li { padding: .15rem 0; }
a { color: inherit; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
.picture { overflow-x: auto; margin: .75rem 0; }
img { display: block; width: 100%; min-width: 36rem; height: auto; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; padding: 1rem 0; color: var(--soft); font-size: .9rem; }
"""


def page_of(entries: Sequence[Entry], seed: int) -> str:
    """The page as a text."""
    listed = "\n".join(f'<li><a href="#{entry.name}">{html.escape(entry.title)}</a></li>' for entry in entries)
    sections = "\n".join(map(_section, entries))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{_MARK}">
<title>Neural networks in pictures</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Neural networks in pictures</h1>
<p>What happens in a neural network, why it learns or doesn't, and what to do about it. Every picture was computed on this machine,
from the seed {seed}.</p>
</header>
<nav aria-label="Pictures">
<ol>
{listed}
</ol>
</nav>
<main>
{sections}
</main>
<footer>Written by <code>fastnn gallery</code>.</footer>
</body>
</html>
"""


def _section(entry: Entry) -> str:
    """On a narrow screen a picture is moved sideways, so that its letters stay legible."""
    width, height = (round(DPI * inches) for inches in entry.inches)
    kind = "gif" if entry.frames else "png"
    sources = [("(prefers-color-scheme: dark)", f"{entry.name}-dark.{kind}")]
    if entry.frames:  # those who want no movement see the last frame
        still = "(prefers-reduced-motion: reduce)"
        sources.insert(0, (still, f"{entry.name}-light.png"))
        sources.insert(0, (f"{still} and (prefers-color-scheme: dark)", f"{entry.name}-dark.png"))
    listed = "\n".join(f'<source media="{media}" srcset="{file}">' for media, file in sources)
    return f"""<section id="{entry.name}">
<h2>{html.escape(entry.title)}</h2>
<div class="picture">
<picture>
{listed}
<img src="{entry.name}-light.{kind}" alt="{html.escape(entry.alt)}" width="{width}" height="{height}" loading="lazy">
</picture>
</div>
<p>{html.escape(entry.paragraph)}</p>
</section>"""
