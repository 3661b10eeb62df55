"""SQL on archived events with DuckDB, which reads the archive's JSON lines as they are."""

import tempfile
from pathlib import Path
from typing import Any

from collector.audit.errors import AuditProblem
from collector.audit.reading import Found
from collector.audit.stores.store import Store
from collector.errors import UsageProblem


def rows(store: Store, found: list[Found], query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the columns' names and the rows. Raises AuditProblem without DuckDB, UsageProblem for wrong SQL."""
    try:
        import duckdb
    except ImportError as missing:
        raise AuditProblem("SQL needs DuckDB", fix="pip install 'netscope[sql]'") from missing
    if not found:
        raise UsageProblem("nothing is archived for that interval and service")
    with tempfile.TemporaryDirectory(prefix="netscope-sql-") as folder:
        paths = [_local(store, one, Path(folder)) for one in found]
        with duckdb.connect() as connection:
            try:
                connection.from_query(
                    "SELECT * FROM read_json($paths, format='newline_delimited', union_by_name=true, "
                    "hive_partitioning=true, maximum_depth=2, sample_size=-1)",
                    params={"paths": paths},
                ).create_view("events")
                result = connection.execute(query)
            except duckdb.Error as problem:
                raise UsageProblem(f"DuckDB: {problem}") from problem
            return [column[0] for column in result.description or ()], result.fetchall()


def _local(store: Store, one: Found, folder: Path) -> str:
    """Return a path of the object: fetched, below the same Hive partitions."""
    path = folder / one.name.key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(store.get(one.name.key))
    return str(path)
