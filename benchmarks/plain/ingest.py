"""One partition with the bare libraries doing the least possible: pandas reads, Great Expectations says yes or no, pandas writes.

    python -m benchmarks.plain.ingest SALES.csv OUT.parquet

Prints one JSON object: the seconds of each step, what the suite said of each expectation, and the rows. Nothing is set aside,
digested, versioned or recorded.
"""

import json
import sys
import time
import warnings
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

NOT_NULL = ["order", "shop", "sku", "sold_at", "quantity", "price"]
BETWEEN = {"quantity": (1, 100), "price": (0, 1000), "discount": (0, 1), "latitude": (-90, 90), "longitude": (-180, 180)}


def expectations() -> list[Any]:
    """The fifteen that benchmarks.ingest declares in its dataset.yaml, in the same order."""
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in NOT_NULL),
        gxe.ExpectColumnValuesToBeUnique(column="order"),
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high) for name, (low, high) in BETWEEN.items()),
        gxe.ExpectColumnValuesToBeInSet(column="shop", value_set=["north", "south", "web"]),
        gxe.ExpectColumnValuesToMatchRegex(column="sku", regex="^SKU[0-9]{5}$"),
    ]


def main(source: str, target: str) -> None:
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    rows = pd.read_csv(source)
    rows["sold_at"] = pd.to_datetime(rows["sold_at"], format="ISO8601", utc=True)  # parse_dates takes twice as long
    read = time.perf_counter()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("plain").add_dataframe_asset("sales")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": rows})
    result = batch.validate(gx.ExpectationSuite("sales", expectations=expectations()), result_format="BOOLEAN_ONLY")
    validated = time.perf_counter()
    rows.to_parquet(target, index=False)
    written = time.perf_counter()
    passed = {_name(each.expectation_config): bool(each.success) for each in result.results}
    seconds = {"read_csv": read - started, "expectations": validated - read, "to_parquet": written - validated, "all": written - started}
    print(json.dumps({"seconds": seconds, "passed": passed, "rows": len(rows)}))


def _name(expectation: Any) -> str:
    return f"{expectation.type}({expectation.kwargs.get('column', '')})"


if __name__ == "__main__":
    main(*sys.argv[1:])
