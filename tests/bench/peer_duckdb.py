"""DuckDB doing the benchmark's mapping: IN.csv to OUT.ndjson with THREADS threads. Prints the seconds it took."""

import sys
import time

import duckdb

source, target, threads = sys.argv[1:]
connection = duckdb.connect(config={"threads": int(threads)})
connection.execute("SET preserve_insertion_order = true")
query = f"""
COPY (
    SELECT "Account ID" AS crm_id, "Name" AS name, "Domain" AS domain, "ARR" AS arr, "Seats" AS seats,
           "Health" AS health, CAST(rtrim("Adoption", '%') AS DOUBLE) AS adoption, "Active" AS active,
           "Renewal" AS renewal, "Plan" AS plan, "Website" AS website, "MAU" AS mau
    FROM read_csv('{source}', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', columns = {{
        'Account ID': 'VARCHAR', 'Name': 'VARCHAR', 'Domain': 'VARCHAR', 'ARR': 'DECIMAL(18, 2)', 'Seats': 'BIGINT',
        'Health': 'DOUBLE', 'Adoption': 'VARCHAR', 'Active': 'BOOLEAN', 'Renewal': 'DATE', 'Plan': 'VARCHAR',
        'Website': 'VARCHAR', 'MAU': 'BIGINT'}})
) TO '{target}' (FORMAT json)
"""
started = time.perf_counter()
connection.execute(query)
print(time.perf_counter() - started)
