"""Reads an export by independent libraries and tells what is in it, as one line of JSON.

usage: read_export.py FORMAT TABLE FILE
"""

import csv
import json
import sys
from datetime import datetime, timedelta, timezone

JAPAN = timezone(timedelta(hours=9))


def of_csv(path, _):
    raw = open(path, "rb").read()
    assert raw.startswith(b"\xef\xbb\xbf"), "no BOM"
    assert raw.endswith(b"\r\n") and raw.count(b"\n") == raw.count(b"\r\n"), "a line that does not end with CRLF"
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name, cell in row.items():
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or cell.lstrip("-").isdigit(), f"{name} runs: {cell}"
        if "at" in row:
            row["at_ms"] = round(datetime.fromisoformat(row.pop("at")).timestamp() * 1000)
        for name in ("product", "live", "campaign", "key", "label"):
            if name in row:
                row[name] = row[name].removeprefix("'")
    return rows


def of_xlsx(path, table):
    import openpyxl

    sheet = openpyxl.load_workbook(path)[table]
    lines = list(sheet.iter_rows())
    names = [cell.value for cell in lines[0]]
    rows = []
    for line in lines[1:]:
        assert all(cell.data_type != "f" for cell in line), "a formula"
        row = dict(zip(names, (cell.value for cell in line)))
        if table == "ledger":
            assert isinstance(row["at"], datetime), "a time that is none"
            # Excel keeps milliseconds in a fraction of a day.
            row["at_ms"] = round(row.pop("at").replace(tzinfo=JAPAN).timestamp() * 1000)
        rows.append(row)
    return rows


def of_parquet(path, table):
    import pyarrow
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(path)
    assert found.schema.field("net_jpy").type == pyarrow.int64(), found.schema
    rows = found.to_pylist()
    if table == "ledger":
        assert found.schema.field("at").type == pyarrow.timestamp("ms", tz="UTC"), found.schema
        for row in rows:
            row["at_ms"] = round(row.pop("at").timestamp() * 1000)
    else:
        assert found.schema.field("buyers").type == pyarrow.int64(), found.schema
    return rows


def of_json(path, _):
    return json.load(open(path, encoding="utf-8"))


def main():
    kind, table, path = sys.argv[1:]
    rows = {"csv": of_csv, "xlsx": of_xlsx, "parquet": of_parquet, "json": of_json}[kind](path, table)
    plain = [{name: "" if cell is None else str(cell) for name, cell in sorted(row.items())} for row in rows]
    total = lambda name: sum(int(row[name]) for row in rows)
    print(json.dumps({
        "rows": len(rows), "units": total("qty"), "net_minor": total("net_jpy"),
        "commission_minor": total("commission_jpy"), "plain": plain,
    }))


main()
