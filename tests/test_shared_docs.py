"""Sections of docstrings that say the same are the same."""

import pytest

import shared_docs


@pytest.mark.parametrize("path", shared_docs.SHARED)
def test_shared_sections_are_what_the_templates_say(path):
    """``python tools/shared_docs.py --write`` puts a changed template into the sources."""
    source, wanted = shared_docs.rewritten(path)
    assert source == wanted


@pytest.mark.parametrize("path", shared_docs.SHARED)
def test_each_name_with_a_shared_section_is_there(path):
    source, _ = shared_docs.rewritten(path)
    names = {
        line.split()[1].split("(")[0].rstrip(":") for line in source.split("\n") if line.startswith(("def ", "class "))
    }
    assert sorted(set(shared_docs.SHARED[path]) - names) == []


def test_a_section_takes_the_place_of_the_one_with_its_heading():
    docstring = '"""Text.\n\n    Notes\n    -----\n    Old.\n\n    Examples\n    --------\n    """'
    expected = '"""Text.\n\n    Notes\n    -----\n    New.\n\n    More.\n\n    Examples\n    --------\n    """'
    assert shared_docs.with_section(docstring, "\nNotes\n-----\nNew.\n\nMore.\n") == expected
    assert (
        shared_docs.with_section(
            docstring.replace("    Notes\n    -----\n    Old.\n\n", ""), "Notes\n-----\nNew.\n\nMore."
        )
        == expected
    )
