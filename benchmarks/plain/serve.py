"""Loads a stored model and scores rows, as a server would: in a process that has seen nothing else. See plain.gate.

python serve.py MODEL.skops FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import skops.io
from threadpoolctl import threadpool_limits


def main(model: str, folder: str) -> None:
    with threadpool_limits(limits=1):
        pipeline = skops.io.load(model, trusted=["numpy.dtype"])
        np.save(Path(folder) / "predictions.npy", pipeline.predict_proba(pd.read_parquet(Path(folder) / "rows.parquet"))[:, 1])


if __name__ == "__main__":
    main(*sys.argv[1:])
