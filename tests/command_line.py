"""The command line, run in this process or in one of its own."""

import subprocess
import sys

from fastnn.cli import main


def run(*arguments, **options):
    command = [sys.executable, "-m", "fastnn", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, encoding="utf-8", timeout=300, **options
    )


def fails(capsys, *arguments):
    """Run in this process; the message on stderr, after checking that it is one and not a traceback."""
    try:
        code = main(list(arguments))
    except SystemExit as leaving:  # from argparse
        code = leaving.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert "error: " in err
    assert "Traceback" not in err
    return err
