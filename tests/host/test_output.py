"""What workers print goes to the log, line by line, and nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from noodle_host import Host, PluginError, StartError


def test_lines_carry_component_version_and_pid(host: Host, log: Any, pid_of: Any) -> None:
    host.start("desk", "<2")
    host.call("desk", "say", "one\ntwo")
    record = log.wait_for("one")
    assert record.name == "noodle_host.component.desk"
    assert (record.component, record.version, record.worker) == (
        "desk",
        "1.0.0",
        pid_of(host, "desk"),
    )
    assert log.wait_for("two").levelno == record.levelno


def test_nothing_reaches_the_hosts_own_output(
    host: Host, log: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    host.start("vandal")
    host.call("vandal", "write_both")
    # Two pipes: in either order.
    heard: set[str] = set()
    while heard != {"to stdout", "to stderr", "from a child"}:
        heard.add(log.wait_for("").getMessage())
    assert capfd.readouterr() == ("", "")


def test_what_the_context_logs_keeps_its_level(host: Host, log: Any) -> None:
    host.start("desk", "<2")
    host.call("desk", "log", "the ink is low")
    assert log.wait_for("the ink is low").levelno == logging.ERROR


@pytest.mark.parametrize("newlines", [True, False])
def test_a_megabyte_of_output_blocks_nobody(host: Host, log: Any, newlines: bool) -> None:
    host.start("vandal")
    host.call("vandal", "write_stderr", 1 << 20, newlines, timeout=20)
    assert host.call("vandal", "pid") > 0
    longest = max(len(message) for message in log.messages())
    assert longest < 1 << 20


def test_output_that_is_no_text_is_shown_all_the_same(host: Host, log: Any) -> None:
    host.start("vandal")
    host.call("vandal", "write_bytes", b"caf\xe9\x00 au lait\n")
    log.wait_for("au lait")


def test_the_last_words_of_a_worker_are_heard(host: Host, log: Any) -> None:
    with pytest.raises((StartError, PluginError), match="no such table"):
        host.start("import_raises")
    log.wait_for("about to break")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("import_raises", ["import_raises 1.0.0", "no such table: users"]),
        ("import_exits", ["import_exits 1.0.0", "exit status 3"]),
        ("import_crashes", ["import_crashes 1.0.0", "SIGSEGV"]),
        ("start_raises", ["start_raises 1.0.0", "port 80 is taken"]),
        ("start_dies", ["start_dies 1.0.0", "exit status 9"]),
    ],
)
def test_a_component_that_cannot_start_says_why(host: Host, name: str, words: list[str]) -> None:
    with pytest.raises((StartError, PluginError)) as caught:
        host.start(name)
    assert [word for word in words if word not in str(caught.value)] == []
    # Nothing of it is left, and others can be started.
    assert host.components() == []
    host.start("desk", "<2")


@pytest.mark.parametrize("name", ["import_hangs", "start_hangs"])
def test_a_component_that_hangs_at_its_start_is_given_up(new_host: Any, name: str) -> None:
    host = new_host(startup_timeout_s=0.3)
    with pytest.raises(StartError, match=r"0\.3"):
        host.start(name)
    assert host.components() == []
