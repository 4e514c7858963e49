"""What a picture of the gallery is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .studio import Studio

Numbers = Mapping[str, Any]


class Entry(NamedTuple):
    """A picture, and what is said about it."""

    name: str
    """Of its files and of its place on the page: lower case and hyphens."""
    title: str
    paragraph: str
    """What is to be seen and why, in plain words."""
    alt: str
    """What is to be seen, for those who don't see it."""
    compute: Callable[[Studio], Numbers]
    """The numbers behind it: arrays, texts and records of these, from the studio's seed alone."""
    draw: Callable[[Any, Numbers], Callable[[int], None] | None]
    """Draws them into an empty figure; of an animation it returns what shows a frame, from 0, in that figure."""
    inches: tuple[float, float] = (8.0, 4.4)
    frames: int = 0
    """Of an animation; 0 of a picture that stands still."""
