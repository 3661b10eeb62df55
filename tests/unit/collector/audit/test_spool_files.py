"""Directories of the spool: for one account, passable from above, and never by way of somebody's link."""

import multiprocessing
import os

import pytest

from collector.audit.errors import AuditProblem
from collector.audit.spool_files import SpoolFiles

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving directories away needs root")
NOBODY = (65534, 65534)


@needs_root
def test_made_for_an_account_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        SpoolFiles(tmp_path / "a/b/spool").make(NOBODY)
    finally:
        os.umask(before)
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755
    for path in (tmp_path / "a/b/spool", tmp_path / "a/b/spool/segments"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (65534, 0o700)


@needs_root
def test_root_follows_no_link_that_the_account_made(tmp_path):
    files = SpoolFiles(tmp_path / "spool")
    files.make(NOBODY)
    (tmp_path / "precious").mkdir()
    files.segments.rmdir()
    files.segments.symlink_to(tmp_path / "precious")
    (files.root / "lock").symlink_to(tmp_path / "new")
    files.make(NOBODY)
    assert (tmp_path / "precious").stat().st_uid == 0
    with pytest.raises(OSError, match="symbolic"):
        files.lock("lock", whose="collector")
    assert not (tmp_path / "new").exists()


def test_a_writer_id_lasts_and_a_broken_one_is_named(tmp_path):
    files = SpoolFiles(tmp_path / "spool")
    files.make()
    assert files.writer() == files.writer()
    (files.root / "writer").write_text("?")
    with pytest.raises(AuditProblem, match="no writer ID"):
        files.writer()


def test_two_processes_that_begin_together_have_one_writer(tmp_path):
    for number in range(40):
        files = SpoolFiles(tmp_path / str(number))
        files.make()
        gate = multiprocessing.get_context("fork").Barrier(2)
        readers = []
        for _ in range(2):
            reader, writer = os.pipe()
            if not os.fork():
                try:
                    gate.wait(10)
                    os.write(writer, files.writer().encode())
                finally:
                    os._exit(0)
            os.close(writer)
            readers.append(reader)
        told = {os.read(reader, 100).decode() for reader in readers}
        for reader in readers:
            os.close(reader)
            os.wait()
        assert told == {files.writer()}
