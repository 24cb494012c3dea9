"""Polars doing the benchmark's mapping: IN.csv to OUT.ndjson with THREADS threads. Prints the seconds it took."""

import os
import sys
import time

source, target, threads = sys.argv[1:]
os.environ["POLARS_MAX_THREADS"] = threads

import polars as pl  # noqa: E402  the number of threads is read on import

columns = {
    "Account ID": pl.String, "Name": pl.String, "Domain": pl.String, "ARR": pl.Decimal(18, 2), "Seats": pl.Int64,
    "Health": pl.Float64, "Adoption": pl.String, "Active": pl.Boolean, "Renewal": pl.Date, "Plan": pl.String,
    "Website": pl.String, "MAU": pl.Int64,
}
names = [
    "crm_id", "name", "domain", "arr", "seats", "health", "adoption", "active", "renewal", "plan", "website", "mau",
]
started = time.perf_counter()
(
    pl.scan_csv(source, schema=columns)
    .rename(dict(zip(columns, names)))
    .with_columns(pl.col("adoption").str.strip_suffix("%").cast(pl.Float64))
    .sink_ndjson(target, engine="streaming")
)
print(time.perf_counter() - started)
