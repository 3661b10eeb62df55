from pathlib import Path

import pytest

from tests.support import skips

ROOT = Path(__file__).parents[3]


def test_a_skip_stands_where_people_work() -> None:
    assert skips.verdict("Skipped: no wrk here", on_ci=False) is None


def test_a_skip_fails_on_ci() -> None:
    assert "no wrk here" in (skips.verdict("Skipped: no wrk here", on_ci=True) or "")


def test_what_the_kernel_lacks_may_be_skipped_on_ci() -> None:
    assert skips.verdict(f"Skipped: {skips.CANNOT}no kprobes", on_ci=True) is None


@pytest.mark.parametrize(("ci", "failed"), [("true", 3), ("", 0)])
def test_every_way_to_skip_is_held(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, failed: int
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text().replace('pytest_plugins = ["pytester"]', ""))
    pytester.makepyfile(
        test_ways=f"""
        import pytest
        def test_call(): pytest.skip("no wrk here")
        @pytest.mark.skipif(True, reason="no wrk here")
        def test_mark(): pass
        def test_kernel(): pytest.skip("{skips.CANNOT}no kprobes")
        @pytest.mark.xfail(reason="known")
        def test_expected(): assert False
        """,
        test_module='import pytest\npytest.skip("no wrk here", allow_module_level=True)\n',
    )
    result = pytester.runpytest_subprocess("--continue-on-collection-errors", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", outcomes.get("error", 0)) == failed
    assert outcomes["skipped"] == 4 - failed
