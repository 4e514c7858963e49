"""Pictures of what networks do, with a page that explains them: a table of entries, so that another picture is another row."""

from . import descents, diagnosed, digits, ensembles, functions, norms, shapes
from .entry import Entry
from .page import write_gallery
from .studio import Studio

ENTRIES: tuple[Entry, ...] = (
    *functions.ENTRIES,
    *descents.ENTRIES,
    *shapes.ENTRIES,
    *norms.ENTRIES,
    *digits.ENTRIES,
    *diagnosed.ENTRIES,
    *ensembles.ENTRIES,
)
"""All pictures, in the order of the page."""

__all__ = ["ENTRIES", "Entry", "Studio", "write_gallery"]
