"""How predictions of several classes are stored: the likeliest class of each row by its own text, and how likely the likeliest classes are.

``prediction`` is the text of the likeliest class. ``served:classes`` lists the texts of at most `serving.likeliest.KEPT` classes, the
likeliest first, ``served:probabilities`` how likely each is, and ``served:other_probability`` how likely each other class is that the
version knows. Those of a challenger in shadow stand beside them. So a row is as small with a thousand classes as with `KEPT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from include.evergreen.features.columns import CHALLENGER, PREDICTION, SERVED
from include.evergreen.serving.likeliest import NO_CLASS, likeliest, numbers, spread, values

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_PARTS: Final = {
    PREDICTION: (f"{SERVED}classes", f"{SERVED}probabilities", f"{SERVED}other_probability"),
    CHALLENGER: (f"{SERVED}challenger_classes", f"{SERVED}challenger_probabilities", f"{SERVED}challenger_other_probability"),
}
OF_CLASSES: Final = frozenset(name for names in _PARTS.values() for name in names)


def class_columns(predicted: np.ndarray, classes: Sequence[str], column: str = PREDICTION) -> pd.DataFrame:
    """Write predictions of several classes as they are stored.

    :param predicted: as `serving.likeliest` has it
    :param classes: the texts of the version's classes, by whose numbers they are
    :param column: ``prediction``, or that of a challenger in shadow
    :returns: four columns, one row for each prediction, numbered from 0
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    numbered = numbers(predicted)
    texts = pa.DictionaryArray.from_arrays(pa.array(numbered.ravel().astype("int32")), pa.array(list(classes), pa.string()))
    ends = pa.array(np.arange(len(predicted) + 1, dtype="int32") * numbered.shape[1])
    likely = pa.array(values(predicted).ravel().astype("float32"))
    named, probabilities, other = _PARTS[column]
    return pd.DataFrame(
        {
            column: pd.array(np.array(classes, dtype=object)[numbered[:, 0].astype("int64")], dtype="string"),
            named: pd.array(pa.ListArray.from_arrays(ends, texts.cast(pa.string())), dtype=pd.ArrowDtype(pa.list_(pa.string()))),
            probabilities: pd.array(pa.ListArray.from_arrays(ends, likely), dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
            other: predicted[:, -1],
        }
    )


def class_frame(predicted: np.ndarray, classes: Sequence[str], known: Sequence[str]) -> pd.DataFrame:
    """Write predictions of several classes as a team's own code reads them.

    :param predicted: as `serving.likeliest` has it
    :param classes: the texts of the classes by whose numbers they are
    :param known: those that the version knows
    :returns: how likely each class is that the version knows: one column for each, one row for each prediction, numbered from 0
    """
    import pandas as pd

    chances = spread(predicted, len(classes))
    if tuple(classes) != tuple(known):
        chances = chances[:, [classes.index(text) for text in known]]
    return pd.DataFrame(chances, columns=pd.Index(list(known), dtype=object), copy=False)


def as_table(predictions: pd.DataFrame) -> pa.Table:
    """Make a table of what is kept of some predictions.

    :param predictions: with the columns of `class_columns`, or without
    :returns: the same columns; lists stand at the end
    """
    import pyarrow as pa

    lists = [name for name in predictions.columns if isinstance(getattr(predictions[name].dtype, "pyarrow_dtype", None), pa.ListType)]
    table = pa.Table.from_pandas(predictions.drop(columns=lists), preserve_index=False)
    for name in lists:  # which pandas cannot read back from a table that says that they were its own
        table = table.append_column(name, pa.array(predictions[name]))
    return table


def stored_names(column: str = PREDICTION) -> list[str]:
    """Name the columns of predictions of several classes.

    :param column: ``prediction``, or that of a challenger in shadow
    :returns: the names that `class_columns` gives
    """
    return [column, *_PARTS[column]]


def read_classes(table: pa.Table, classes: Sequence[str], column: str = PREDICTION) -> np.ndarray:
    """Read predictions of several classes as they were stored.

    :param table: rows with the columns of `stored_names`
    :param classes: by whose numbers they are asked for
    :param column: ``prediction``, or that of a challenger in shadow
    :returns: as `serving.likeliest` has it; a class that is none of ``classes`` has the number ``len(classes)``
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(table):
        return likeliest(np.empty((0, len(classes))))
    named, probabilities, other = (table[name].combine_chunks() for name in _PARTS[column])
    lengths = pc.list_value_length(named).to_numpy(zero_copy_only=False).astype("int64")
    width = int(lengths.max()) if len(lengths) else 0
    found = pc.index_in(named.flatten().cast(pa.string()), pa.array(list(classes), pa.string())).fill_null(len(classes))
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    made = np.zeros((len(lengths), 2 * width + 1))
    made[:, :width] = NO_CLASS
    made[row, place] = found.to_numpy(zero_copy_only=False)
    made[row, width + place] = probabilities.flatten().to_numpy(zero_copy_only=False)
    made[:, -1] = other.to_numpy(zero_copy_only=False)
    return made
