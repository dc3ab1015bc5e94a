"""The same rows by other makes: QuestDB's own Python client into a server, Polars into a file and out of it.

Called by `cargo xtask bench store` with the server's address, ways of using the client (each with a table of its own) and
Parquet files of symbol-days.
"""

import io
import json
import os
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

os.environ["POLARS_MAX_THREADS"] = "1"

import pandas as pd
import polars as pl
from questdb.ingress import Sender

url, ways, *files = sys.argv[1:]


def query(path, **form):
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(form)}") as answer:
        return answer.read()


def rows_of(file, day):
    frame = pl.read_parquet(file, hive_partitioning=False)
    frame = frame.with_columns(pl.col("seq").cast(pl.Int64))
    rows = frame.to_pandas()
    for name, value in {"symbol": "SHFE.cu2509", "trading_day": str(day), "build": f"{day:016x}"}.items():
        rows[name] = pd.Categorical([value] * len(rows))
    rows["phase"] = rows["phase"].astype("category")
    return frame, rows


days = [rows_of(file, day) for day, file in enumerate(files)]
count = sum(len(rows) for _, rows in days)



def send(table, days, flush_rows):
    flush = f"auto_flush_rows={flush_rows};" if flush_rows else ""
    with Sender.from_conf(f"http::addr={url.removeprefix('http://')};{flush}") as sender:
        for _, rows in days:
            sender.dataframe(rows, table_name=table, symbols=["symbol", "trading_day", "build", "phase"], at="datetime")


def write(way):
    """Seconds until all rows can be read."""
    table, senders = way["table"], way["senders"]
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=send, args=(table, days[at::senders], way["flush_rows"])) for at in range(senders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = f"SELECT writerTxn, sequencerTxn FROM wal_tables() WHERE name = '{table}'"
    while len(set(json.loads(query("/exec", query=state))["dataset"][0])) > 1:
        time.sleep(0.005)
    seconds = time.perf_counter() - begun
    there = json.loads(query("/exec", query=f"SELECT count() FROM {table}"))["dataset"][0][0]
    assert there == count, f"{count} rows were written and {there} are there"
    return seconds


ways = json.loads(ways)
written = {way["key"]: write(way) for way in ways}
table = ways[0]["table"]

begun = time.perf_counter()
got = 0
for day in range(len(days)):
    text = f"SELECT * FROM {table} WHERE symbol = 'SHFE.cu2509' AND build = '{day:016x}'"
    got += len(pl.read_parquet(io.BytesIO(query("/exp", query=text, fmt="parquet"))))
client_read_s = time.perf_counter() - begun
assert got == count

with tempfile.TemporaryDirectory() as folder:
    begun = time.perf_counter()
    for day, (frame, _) in enumerate(days):
        frame.write_parquet(f"{folder}/{day}.parquet", compression="zstd", compression_level=1)
    polars_write_s = time.perf_counter() - begun
    size = sum(os.path.getsize(f"{folder}/{day}.parquet") for day in range(len(days)))
    begun = time.perf_counter()
    for day in range(len(days)):
        assert len(pl.read_parquet(f"{folder}/{day}.parquet")) > 0
    polars_read_s = time.perf_counter() - begun

print(
    json.dumps(
        {
            "rows": count,
            **{f"{key}_s": seconds for key, seconds in written.items()},
            "client_read_s": client_read_s,
            "polars_write_s": polars_write_s,
            "polars_read_s": polars_read_s,
            "polars_bytes": size,
        }
    )
)
