"""Reads an export by independent libraries and tells what is in it, as one line of JSON.

usage: read_export.py FORMAT FILE
"""

import csv
import json
import sys
from datetime import datetime, timedelta, timezone

JAPAN = timezone(timedelta(hours=9))


def of_csv(path):
    raw = open(path, "rb").read()
    assert raw.startswith(b"\xef\xbb\xbf"), "no BOM"
    assert raw.endswith(b"\r\n") and raw.count(b"\n") == raw.count(b"\r\n"), "a line that does not end with CRLF"
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name, cell in row.items():
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or cell.lstrip("-").isdigit(), f"{name} runs: {cell}"
        row["at_ms"] = round(datetime.fromisoformat(row.pop("at")).timestamp() * 1000)
        for name in ("product", "live", "campaign"):
            row[name] = row[name].removeprefix("'")
    return rows


def of_xlsx(path):
    import openpyxl

    sheet = openpyxl.load_workbook(path)["ledger"]
    lines = list(sheet.iter_rows())
    names = [cell.value for cell in lines[0]]
    rows = []
    for line in lines[1:]:
        assert all(cell.data_type != "f" for cell in line), "a formula"
        row = dict(zip(names, (cell.value for cell in line)))
        assert isinstance(row["at"], datetime), "a time that is none"
        # Excel keeps milliseconds in a fraction of a day.
        row["at_ms"] = round(row.pop("at").replace(tzinfo=JAPAN).timestamp() * 1000)
        rows.append(row)
    return rows


def of_parquet(path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    assert table.schema.field("net_jpy").type == pyarrow.int64(), table.schema
    assert table.schema.field("at").type == pyarrow.timestamp("ms", tz="UTC"), table.schema
    rows = table.to_pylist()
    for row in rows:
        row["at_ms"] = round(row.pop("at").timestamp() * 1000)
    return rows


def of_json(path):
    return json.load(open(path, encoding="utf-8"))


def main():
    kind, path = sys.argv[1:]
    rows = {"csv": of_csv, "xlsx": of_xlsx, "parquet": of_parquet, "json": of_json}[kind](path)
    plain = [{name: "" if cell is None else str(cell) for name, cell in sorted(row.items())} for row in rows]
    total = lambda name: sum(int(row[name]) for row in rows)
    print(json.dumps({
        "rows": len(rows), "units": total("qty"), "net_minor": total("net_jpy"),
        "commission_minor": total("commission_jpy"), "plain": plain,
    }))


main()
