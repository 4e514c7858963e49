"""The command line, run in this process or in one of its own."""

import signal
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


def interrupted(line, *arguments):
    """Interrupt a process of its own once a line of its stderr begins so: exit status, stdout, the rest of stderr."""
    command = [sys.executable, "-m", "fastnn", *arguments]
    # Tests started in the background may have inherited that interrupts are ignored, and would hand it on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        signal.signal(signal.SIGINT, before)
        assert any(said.startswith(line) for said in child.stderr)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    return child.returncode, out, err
