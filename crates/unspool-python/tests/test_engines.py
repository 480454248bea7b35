"""Engines that read the parts of sources, and lose a worker meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import unspool

from conftest import Api


def test_dask_reads_the_parts(api: Api) -> None:
    dask = pytest.importorskip("dask")
    import unspool.dask

    source = unspool.pages(api("/counted?last=7"), paginate="page")
    with dask.config.set(scheduler="synchronous"):
        bag = unspool.dask.bag(source, npartitions=3)
        assert bag.npartitions == 3
        assert bag.pluck("id").sum().compute() == sum(range(700))
        frame = unspool.dask.dataframe(source, npartitions=3)
        assert int(frame["id"].sum().compute()) == sum(range(700))
        assert len(frame) == 700
        doubtful = unspool.dask.bag(unspool.pages(api("/short"), paginate="single"), 2)
        assert doubtful.count().compute() == 2
        with pytest.raises(unspool.DoubtError):
            unspool.dask.bag(unspool.pages(api("/short")), 1).count().compute()


def test_a_killed_worker_of_dask_changes_nothing(api: Api) -> None:
    distributed = pytest.importorskip("distributed")
    import unspool.dask

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        bag = unspool.dask.bag(
            unspool.pages(api("/counted?last=40&delay=25"), paginate="page"), npartitions=8
        )
        workers = [info["id"] for info in client.scheduler_info()["workers"].values()]
        assert len(workers) == 2
        before = api.hits("/counted")
        total = client.compute(bag.pluck("id").fold(lambda a, b: a + b))
        while api.hits("/counted") < before + 6:
            assert not total.done()
        victim = next(iter(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        assert total.result(timeout=100) == sum(range(4000))


def full(name: str, gigabytes: int) -> Any:
    """An engine that only the full run has, where there is memory for it."""
    if os.environ.get("UNSPOOL_TEST_FULL") != "1":
        pytest.skip("only with UNSPOOL_TEST_FULL=1, as `scripts/test --full` sets it")
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) >> 20
    if available < gigabytes:
        pytest.skip(f"{name} needs {gigabytes} GB of memory, and {available} are free")
    return pytest.importorskip(name)


@contextmanager
def killing(api: Api, workers: Callable[[], list[int]]) -> Iterator[None]:
    """Kills a worker once some pages have been read."""
    before, killed = api.hits("/counted"), []

    def kill() -> None:
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            if api.hits("/counted") >= before + 8:
                for pid in workers()[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()
    assert killed


def processes(is_wanted: Callable[[bytes], bool]) -> list[int]:
    """The processes under this one with such a command line."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def is_ours(pid: int) -> bool:
        while pid in parents:
            if pid == os.getpid():
                return True
            pid = parents[pid]
        return False

    return [pid for pid, command in commands.items() if is_wanted(command) and is_ours(pid)]


def test_ray_reads_the_parts_though_a_worker_is_killed(api: Api) -> None:
    ray = full("ray", 3)
    import unspool.ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        source = unspool.pages(api("/counted?last=40&delay=25"), paginate="page")
        with killing(api, lambda: processes(lambda command: command.startswith(b"ray::Read"))):
            dataset = ray.data.read_datasource(unspool.ray.Source(source), override_num_blocks=8)
            assert dataset.sum("id") == sum(range(4000))
        assert dataset.count() == 4000
        short = unspool.pages(api("/short"))
        with pytest.raises(Exception, match="DoubtError|total"):
            ray.data.read_datasource(unspool.ray.Source(short), override_num_blocks=1).count()
    finally:
        ray.shutdown()


def test_spark_reads_the_parts_though_an_executor_is_killed(api: Api, tmp_path: Path) -> None:
    pyspark = full("pyspark", 3)
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    from pyspark.sql import SparkSession

    import unspool.spark

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in [("ui.enabled", "false"), ("driver.memory", "1g"), ("executor.memory", "700m"),
                        ("sql.shuffle.partitions", "2")]:
        builder = builder.config(f"spark.{name}", value)
    session = builder.getOrCreate()
    try:
        session.dataSource.register(unspool.spark.Source)
        source = unspool.pages(api("/counted?last=60&delay=50"), paginate="page")
        read = session.read.format("unspool").options(**unspool.spark.options(source))
        # What there is before anything is killed.
        frame = read.schema("id long, name string, tags array<string>, price decimal(38, 2)").load()
        with killing(api, lambda: processes(lambda command: b"CoarseGrainedExecutorBackend" in command)):
            sums = frame.selectExpr("sum(id)", "count(*)", "sum(price)").first()
        assert tuple(sums) == (sum(range(6000)), 6000, sum(range(6000)) / 4)
        with pytest.raises(pyspark.errors.PySparkException, match="the schema has no column for"):
            read.schema("id long").load().count()
        short = unspool.spark.options(unspool.pages(api("/short"), paginate="page"))
        with pytest.raises(pyspark.errors.PySparkException, match="Doubt|total"):
            session.read.format("unspool").options(**short).load().count()
        assert streamed(session, source, tmp_path) == [2500, 2500, 1000]
    finally:
        session.stop()


def streamed(session: Any, source: unspool.Items[Any], folder: Path) -> list[int]:
    """The sizes of the micro-batches, whose items are all there and once."""
    import unspool.spark

    got: list[list[int]] = []
    stream = session.readStream.format("unspool")
    frame = stream.options(**unspool.spark.options(source, batch=2500)).load()
    writer = frame.writeStream.option("checkpointLocation", str(folder))

    def take(batch: Any, _: int) -> None:
        got.append([row.id for row in batch.select("id").collect()])

    query = writer.foreachBatch(take).trigger(processingTime="0 seconds").start()
    end = time.monotonic() + 120
    while sum(map(len, got)) < 6000 and query.isActive and time.monotonic() < end:
        time.sleep(0.1)
    assert query.exception() is None
    query.stop()
    assert sorted(number for batch in got for number in batch) == list(range(6000))
    return [len(batch) for batch in got]
