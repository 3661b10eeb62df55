"""The reference pages and the manual name what there is: no more and no less."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest

from collector import config
from collector.cli.main import cli
from collector.domain import filters
from collector.domain.events import Connection, Exchange, Quality, Summary
from collector.kernel.rungs import LADDER

ROOT = Path(__file__).parents[4]
CLI = (ROOT / "docs/reference/cli.md").read_text()
MANUAL = (ROOT / "docs/man/collector.1").read_text().replace("\\-", "-")
EVENT = (ROOT / "docs/specs/event.md").read_text()
CONTRACT = (ROOT / "docs/specs/watch.md").read_text()


def options(command):
    return {name for one in command.params if isinstance(one, click.Option) for name in one.opts}


@pytest.mark.parametrize("name", sorted(options(cli.commands["watch"]) | options(cli.commands["run"])))
def test_every_option_of_watch_and_run_is_in_the_reference_and_the_manual(name):
    assert f"`{name}" in CLI
    assert re.search(rf"{name}\b", MANUAL)


@pytest.mark.parametrize("command", ["doctor", "config", "audit"])
def test_other_commands_are_documented(command):
    assert f"`collector {command}" in CLI
    assert f"collector {command}" in MANUAL


def test_the_reference_has_no_option_that_does_not_exist():
    known = {"--help", "--version", "--", "---"}  # the last: rules of tables
    for command in (
        *cli.commands.values(),
        *cli.commands["config"].commands.values(),
        *cli.commands["audit"].commands.values(),
    ):
        known |= options(command)
    assert set(re.findall(r"(?<![\w-])--[a-z-]*", CLI + MANUAL)) <= known


def test_every_filter_field_is_in_the_reference():
    section = CLI.split("## Filter words")[1].split("## Columns")[0]
    named = {
        name
        for row in section.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split(" | ")[0])
    }
    assert named == set(filters.FIELDS)


def test_every_setting_is_in_the_reference_with_its_default():
    page = (ROOT / "docs/reference/config.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S*) ?\|", page, re.MULTILINE))
    defaults = config.Config()
    assert set(rows) == {one.name for one in fields(config.Config)}
    for name, shown in rows.items():
        default = getattr(defaults, name)
        assert shown == ("" if default == () else f"{default:g}" if isinstance(default, float) else str(default)), name


def test_every_field_of_an_event_is_specified():
    for kind in (Exchange, Connection, Summary, Quality):
        for name in kind.__struct_fields__:
            assert f"`{name}`" in EVENT, f"{kind.__name__}.{name}"


def test_every_outcome_is_specified():
    for outcome in Exchange.__annotations__["outcome"].__args__[0].__args__:
        assert re.search(rf"\b{outcome}\b", CONTRACT), outcome


def test_rungs_have_one_list_of_names():
    names = [rung.name for rung in LADDER]
    assert list(config._RUNGS) == ["auto", *names]
    assert f"{', '.join(names)}." in next(one.help for one in cli.commands["watch"].params if one.name == "rung")


def test_the_version_is_that_of_the_package():
    from collector.cli import main

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == main._VERSION
    assert f"NetScope {main._VERSION}" in MANUAL
