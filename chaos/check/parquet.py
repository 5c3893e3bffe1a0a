"""Prints the rows of all Parquet files below a directory as JSON lines, by DuckDB."""

import sys

import duckdb

directory = sys.argv[1].replace("'", "''")
duckdb.execute("SET enable_progress_bar = false")  # it would go between the rows
duckdb.execute("SET threads TO 2")
duckdb.execute("SET memory_limit = '1GB'")
duckdb.execute("SET preserve_insertion_order = false")
duckdb.execute(f"""
    COPY (
        SELECT filename AS file,
               * EXCLUDE (filename, pickup_datetime, dropoff_datetime),
               epoch_ms(pickup_datetime) AS pickup_datetime,
               epoch_ms(dropoff_datetime) AS dropoff_datetime
        FROM read_parquet('{directory}/**/*.parquet', filename = true, hive_partitioning = false)
    ) TO '/dev/stdout' (FORMAT json)
""")
