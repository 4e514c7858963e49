"""The command ``fastnn``: train on data of one's own, predict, look at data, say what is in use."""

from .program import main

__all__ = ["main"]
