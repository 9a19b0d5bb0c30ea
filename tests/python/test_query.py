"""Dataset.query against DataFrame.query: the same rows, for expressions from a grammar, over every kind of column."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import anndata
import io_shim
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import random_csr, write_h5ad
from test_cli import COMMAND

import penstock

N = 900
WORDS = ["b0", "b1", "", "ab", "a b", "ä", "zz"]


def table(n: int, seed: int) -> pd.DataFrame:
    """A column of each kind; small numbers, so that values meet; some at the edges of their types."""
    rng = np.random.default_rng(seed)
    words = np.array(WORDS, dtype=object)[rng.integers(0, len(WORDS), n)]
    large = rng.integers(-3, 4, n) + 2**53
    nullable = pd.array(rng.integers(-3, 4, n), dtype="Int64")
    nullable[rng.random(n) < 0.2] = pd.NA
    maybe = pd.array(rng.random(n) < 0.5, dtype="boolean")
    maybe[rng.random(n) < 0.2] = pd.NA
    missing = pd.array(words[::-1].copy(), dtype="string")
    missing[rng.random(n) < 0.2] = pd.NA
    score = rng.integers(-4, 5, n) / 2
    score[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "i": rng.integers(-3, 4, n),
            "j": rng.integers(-3, 4, n),
            "big": large,
            "i8": rng.integers(-128, 128, n).astype(np.int8),
            "u64": rng.integers(0, 4, n).astype(np.uint64) + np.uint64(2**63 - 2),
            "f": score,
            "f32": (rng.integers(0, 6, n) / 10).astype(np.float32),
            "flag": rng.random(n) < 0.5,
            "k": nullable,
            "maybe": maybe,
            "words": words,
            "missing": missing,
            "cat": pd.Categorical.from_codes(
                rng.integers(-1, 5, n), categories=["zz", "b0", "ab", "never", "b1"]
            ),
            "level": pd.Categorical.from_codes(
                rng.integers(-1, 3, n), categories=["low", "mid", "high"], ordered=True
            ),
            "number": pd.Categorical.from_codes(rng.integers(-1, 3, n), categories=[3, 1, 2]),
            "a name.with dots": rng.integers(0, 3, n),
        },
        index=[f"cell{i}" for i in range(n)],
    )


def write(folder: Path, name: str, frame: pd.DataFrame) -> str:
    x = sp.csr_matrix(np.ones((len(frame), 3), dtype=np.float32))
    path = folder / f"{name}.h5ad"
    with anndata.settings.override(allow_write_nullable_strings=True):
        anndata.AnnData(x, obs=frame).write_h5ad(path, convert_strings_to_categoricals=False)
    return str(path)


def write_parquet(folder: Path, frame: pd.DataFrame, rows: int = 97) -> str:
    """A file of lists, in small row groups; what Parquet does not have (categories) as strings."""
    frame = frame.drop(columns=["cat", "level", "number"])
    lists = {"genes": [[1, 2]] * len(frame), "expressions": [[1.0, 2.0]] * len(frame)}
    columns = pa.Table.from_pandas(frame, preserve_index=False)
    for key, values in lists.items():
        columns = columns.append_column(
            key, pa.array(values, pa.list_(pa.float32() if key != "genes" else pa.int64()))
        )
    folder.mkdir(exist_ok=True)
    pq.write_table(columns, folder / "cells.parquet", row_group_size=rows)
    genes = pd.DataFrame({"token_id": [1, 2, 3], "ensembl_id": list("abc"), "gene_symbol": list("abc")})
    genes.to_parquet(folder / "gene_metadata.parquet")
    return str(folder / "cells.parquet")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[penstock.Dataset, pd.DataFrame]]:
    """The same cells as h5ad, as two h5ad files and as Parquet; a sorted half among them."""
    folder = tmp_path_factory.mktemp("query")
    frame = table(N, seed=3)
    frame = pd.concat([frame.iloc[: N // 2].sort_values(["i", "f"]), frame.iloc[N // 2 :]])
    one = write(folder, "one", frame)
    two = [write(folder, "two0", frame.iloc[:300]), write(folder, "two1", frame.iloc[300:])]
    parquet = write_parquet(folder / "parquet", frame)
    out = {}
    for name, paths in (("h5ad", one), ("files", two), ("parquet", parquet)):
        ds = penstock.open(paths)
        out[name] = (ds, ds.obs[list(ds.obs.columns)])
    # The reference is what anndata reads; ds.obs is known to be the same.
    read = anndata.read_h5ad(one).obs
    for column in ("i", "f", "flag", "k", "cat", "level", "number", "missing"):
        pd.testing.assert_series_equal(
            out["h5ad"][1][column].reset_index(drop=True),
            read[column].reset_index(drop=True),
            check_names=False,
        )
    return out


# --- expressions ---

NUMBERS = ["i", "j", "big", "f", "k", "`a name.with dots`", "f32", "u64", "i8"]
TEXTS = ["words", "missing"]
whole = st.sampled_from([-3, -1, 0, 1, 2, 3, 127, 2**53, 2**53 + 1])
number = st.one_of(whole, st.sampled_from([-0.5, 0.1, 0.5, 1.0, 1.5, 1e300]))
word = st.sampled_from([*WORDS, "never", "b", "it's", "\\", "\n"])
order = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
same = st.sampled_from(["==", "!="])


def spelled(values: st.SearchStrategy) -> st.SearchStrategy[str]:
    return values.map(repr)


# int8 and uint64 wrap or refuse as numpy's do; here they are only compared.
small = st.sampled_from(["i", "j", "f", "k", "`a name.with dots`"])
sums = st.recursive(
    small,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), st.one_of(inner, spelled(st.integers(-3, 3)))).map(
            lambda t: "({} {} {})".format(*t)
        ),
        st.tuples(inner, st.sampled_from(["/", "//", "%"]), spelled(st.sampled_from([-2, -0.5, 2, 3]))).map(
            lambda t: "({} {} {})".format(*t)
        ),
        inner.map("(-{})".format),
    ),
    max_leaves=3,
)
lists = st.lists(st.one_of(number, word), max_size=4).map(repr)


def leaves(texts: list[str], categories: bool) -> st.SearchStrategy[str]:
    def join(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(*parts).map(" ".join)

    text = st.sampled_from([*texts, *(["cat"] if categories else [])])
    fixed = st.sampled_from(NUMBERS)
    kinds = [
        join(fixed, order, spelled(number)),
        join(spelled(number), order, fixed),
        join(sums, order, st.one_of(spelled(number), sums)),
        join(
            spelled(number),
            st.sampled_from(["<", "<="]),
            fixed,
            st.sampled_from(["<", "<="]),
            spelled(number),
        ),
        join(st.one_of(fixed, text), st.sampled_from(["in", "not in", "==", "!="]), lists),
        join(text, same, spelled(word)),
        join(spelled(word), same, text),
        join(st.sampled_from(texts), order, spelled(word)),
        st.sampled_from(["flag", "maybe", "flag == True", "maybe != False", "flag > 0", "flag == maybe"]),
        st.sampled_from(
            ["i > j", "big == u64", "i8 < i", "u64 > big", "f32 == f", "k <= i", "f != k", "i == big"]
        ),
        st.tuples(
            st.sampled_from([*NUMBERS, *texts, "maybe"]),
            st.sampled_from(["isnull", "isna", "notnull", "notna"]),
        ).map(lambda t: "{}.{}()".format(*t)),
        st.tuples(text, st.sampled_from(["startswith", "endswith"]), word).map(
            lambda t: f"{t[0]}.str.{t[1]}({t[2]!r}, na=False)"
        ),
        st.tuples(text, word).map(lambda t: f"{t[0]}.str.contains({t[1]!r}, regex=False, na=False)"),
        st.tuples(st.sampled_from(["i", *texts]), lists).map(lambda t: f"{t[0]}.isin({t[1]})"),
        st.sampled_from(
            ["missing.str.startswith('b')", "words == missing", "words != missing", "words <= missing"]
        ),
        st.sampled_from(["i == @n", "f in @some", "words in @names", "i != @n"]),
        st.sampled_from(["i == None", "f != None", "words == None", "k != None"]),
    ]
    if categories:
        kinds += [
            join(st.just("level"), order, spelled(st.sampled_from(["low", "mid", "high"]))),
            join(st.just("number"), st.sampled_from(["==", "!="]), spelled(st.integers(1, 4))),
            join(st.just("number"), st.sampled_from(["in", "not in"]), lists),
            st.sampled_from(
                ["cat.isnull()", "level.notna()", "cat == cat", "level < level", "cat.isin(['zz', None])"]
            ),
        ]
    return st.one_of(kinds)


def expressions(texts: list[str], categories: bool) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves(texts, categories),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or", "&", "|"]), inner).map(" ".join),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: "({} {} {})".format(*t)),
            inner.map("not ({})".format),
            inner.map("~({})".format),
            inner.map("not {}".format),
        ),
        max_leaves=5,
    )


PARAMS = {"n": 2, "some": [0.5, 1, -2], "names": ["b1", "zz", "never"]}


def reference(frame: pd.DataFrame, expression: str) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return frame.query(expression, engine="python", local_dict=PARAMS).index.tolist()


def check(ds: penstock.Dataset, frame: pd.DataFrame, expression: str) -> None:
    expected = reference(frame, expression)
    chosen = ds.query(expression, **PARAMS)
    assert chosen._handle.global_rows(0, len(chosen)).tolist() == expected, expression
    # Of a selection: the same rows, of those that are in it.
    part = ds[100:700:3].query(expression, **PARAMS)
    kept = set(range(100, 700, 3))
    assert part._handle.global_rows(0, len(part)).tolist() == [row for row in expected if row in kept], (
        expression
    )


SETTINGS = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@SETTINGS
@given(expressions(TEXTS, categories=True))
def test_h5ad_is_as_pandas_says(sets, expression):
    check(*sets["h5ad"], expression)


@SETTINGS
@given(expressions(TEXTS, categories=True))
def test_several_files_are_as_pandas_says(sets, expression):
    check(*sets["files"], expression)


@SETTINGS
@given(expressions(TEXTS, categories=False))
def test_parquet_is_as_pandas_says(sets, expression):
    check(*sets["parquet"], expression)


@pytest.mark.parametrize(
    "expression",
    [
        "i8 + 100 > 0",  # wraps
        "i8 * 2 == -2",
        "u64 - 1 > 5",
        "f32 == 0.1",  # as float32
        "f32 in [0.1]",  # as float64
        "f32 * 2 == 0.2",
        "i // j > 1",  # inf
        "i % j == 1",
        "i / j > 1",
        "k // 0 == 0",
        "i ** 2 > 3",
        "2 ** f < 1",
        "f // 0 > 0",
        "k ** 0 == 1",
        "u64 > 9223372036854775807",
        "u64 == -1",
        "big == 9007199254740993",
        "big == 9007199254740993.0",
        "flag + i > 1",
        "i == 1 & flag | maybe",
        "index == 5",
        "`a name.with dots` == 1",
        "'b0' in words",
        "['b0', 'zz'] == words",
        "-i ** 2 == -4",
        "i == j == 2",
        "k / 2 > 0.5",
    ],
)
def test_numbers_and_names(sets, expression):
    ds, frame = sets["h5ad"]
    if expression.startswith("index"):
        assert ds.query("index == 'cell5'").obs_names.tolist() == ["cell5"]
        return
    check(ds, frame, expression)


def test_categories_that_differ_by_file(tmp_path):
    first = pd.DataFrame({"c": pd.Categorical(["a", "b"]), "n": [1, 2]}, index=["x", "y"])
    second = pd.DataFrame(
        {"c": pd.Categorical(["c", "b", None]), "n": [0.5, np.nan, 2]}, index=["u", "v", "w"]
    )
    ds = penstock.open([write(tmp_path, "a", first), write(tmp_path, "b", second)])
    assert ds.query("c == 'b'").obs_names.tolist() == ["y", "v"]
    assert ds.query("c in ['a', 'c']").obs_names.tolist() == ["x", "u"]
    assert ds.query("c != 'b' and n < 2").obs_names.tolist() == ["x", "u"]
    with pytest.raises(ValueError, match="an order only when all files have the same list"):
        ds.query("c < 'b'")


def test_a_column_that_one_file_lacks_is_named_with_the_file(tmp_path):
    a = write(tmp_path, "a", pd.DataFrame({"n": [1]}, index=["x"]))
    b = write(tmp_path, "b", pd.DataFrame({"m": [1]}, index=["y"]))
    with pytest.raises(KeyError, match=r"b\.h5ad: obs has no column 'n', which .*a\.h5ad has"):
        penstock.open([a, b]).query("n > 0")


def test_errors_point_into_the_expression(sets):
    ds, _ = sets["h5ad"]
    with pytest.raises(KeyError, match="obs has no column 'wordz'; did you mean 'words'") as caught:
        ds.query("i > 1 and wordz == 'x'")
    assert str(caught.value).splitlines()[1:] == ["  i > 1 and wordz == 'x'", "            ^"]
    with pytest.raises(ValueError, match=r"column 'words' \(string\) < the number 5"):
        ds.query("words < 5")
    with pytest.raises(KeyError, match="no value is given for @limit; did you mean 'limits'"):
        ds.query("i > @limit", limits=3)
    with pytest.raises(ValueError, match="regex=False"):
        ds.query("words.str.contains('b.')")
    with pytest.raises(TypeError, match="is a dict"):
        ds.query("i > @x", x={})
    with pytest.raises(TypeError, match="is a string"):
        ds.query(ds.obs["i"] > 1)


def test_parameters_of_every_kind(sets):
    ds, frame = sets["h5ad"]
    for value in (
        np.int8(1),
        np.float32(0.5),
        True,
        pd.Series([1, 2]),
        np.array([1, 2]),
        {1, 2},
        (1,),
        range(3),
    ):
        plain = list(value) if isinstance(value, (set, range, tuple, pd.Series, np.ndarray)) else value
        op = "in" if isinstance(plain, list) else "=="
        expected = frame.query(f"i {op} @v", engine="python", local_dict={"v": plain}).index.tolist()
        chosen = ds.query(f"i {op} @v", v=value)
        assert chosen._handle.global_rows(0, len(chosen)).tolist() == expected, value
    many = [f"w{i}" for i in range(200_000)] + ["b0"]
    assert len(ds.query("words in @many", many=many)) == (frame["words"] == "b0").sum()


def test_memory_is_given_back_and_bounded(sets, tmp_path):
    ds, _ = sets["h5ad"]
    before = ds.nbytes
    ds.query("i > 100 and words == 'b0' and cat != 'zz' and f < 3")
    assert ds.nbytes <= before + 1000
    frame = pd.DataFrame({"s": ["x" * 200 + str(i) for i in range(20_000)]}, index=map(str, range(20_000)))
    small = penstock.open(write(tmp_path, "s", frame), index_memory="2MB")
    with pytest.raises(penstock.MemoryBudgetError):
        small.query("s == 'x'")


# --- selections ---


def test_selections_are_saved_and_loaded(sets, tmp_path):
    ds, frame = sets["files"]
    chosen = ds.query("i > 0 and flag")
    assert f"{len(chosen):,} of {N:,} obs" in repr(chosen)
    assert repr(chosen.selection) == f"Selection: {len(chosen)} of {N} obs in 2 files"
    path = tmp_path / "rows"
    for part in (chosen, ds, ds[:0], ds[10:], ds[::2], ds[5:300]):
        part.selection.save(path)
        again = ds[:3].selection.load(path)
        assert (
            again._handle.global_rows(0, len(again)).tolist()
            == part._handle.global_rows(0, len(part)).tolist()
        )
    chosen.selection.save(path)
    one, _ = sets["h5ad"]
    with pytest.raises(ValueError, match=r"of other files: its file 1 is two0\.h5ad, here it is one\.h5ad"):
        one.selection.load(path)
    with pytest.raises(FileNotFoundError):
        ds.selection.load(tmp_path / "nothing")


def test_a_selection_of_changed_files_is_refused(tmp_path):
    path = write(tmp_path, "a", pd.DataFrame({"n": range(10)}, index=map(str, range(10))))
    penstock.open(path).query("n > 3").selection.save(tmp_path / "rows")
    write(tmp_path, "a", pd.DataFrame({"n": range(11)}, index=map(str, range(11))))
    with pytest.raises(ValueError, match=r"a\.h5ad had 10 rows, here it has 11"):
        penstock.open(path).selection.load(tmp_path / "rows")


def test_damaged_selections_are_refused(sets, tmp_path):
    ds, _ = sets["files"]
    path = tmp_path / "rows"
    ds.query("flag").selection.save(path)
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for case in range(200):
        bad = bytearray(good)
        if case % 4 == 0:
            del bad[int(rng.integers(0, len(bad))) :]
        else:
            bad[int(rng.integers(0, len(bad)))] ^= int(rng.integers(1, 256))
        path.write_bytes(bad)
        with pytest.raises((penstock.CorruptFileError, NotImplementedError)):
            ds.selection.load(path)


# --- bytes ---

READ_OBS = """
    import ctypes, json, sys, penstock
    shim = ctypes.CDLL(None)
    shim.penstock_shim_bytes.restype = ctypes.c_ulonglong
    ds = penstock.open(sys.argv[1])
    out = {}
    for expression in sys.argv[2:]:
        before = shim.penstock_shim_bytes()
        rows = len(ds.query(expression))
        out[expression] = [rows, shim.penstock_shim_bytes() - before]
    print(json.dumps(out))
"""


def test_row_groups_that_statistics_rule_out_are_not_read(tmp_path):
    n, group = 50_000, 1000
    rng = np.random.default_rng(0)
    frame = table(n, seed=1)
    frame["t"] = np.arange(n)
    frame["noise"] = rng.random(n)
    frame["name"] = [f"cell{i:06d}" for i in range(n)]
    frame["sparse"] = pd.array([i if i < 3000 else None for i in range(n)], dtype="Int64")
    path = write_parquet(tmp_path / "p", frame, rows=group)
    shim = io_shim.build(tmp_path)
    env = io_shim.environment(shim)
    env["PYTHONPATH"] = ":".join(sys.path)
    # rows, and the most row groups of the columns that may be read
    cases = {
        "noise >= 0": (n, n // group),
        "noise >= 0 and t < 500": (500, 1),
        "t >= 20_000 and t < 21_500 and noise >= 0": (1500, 2),
        "t in [5, 40_000] and noise >= 0": (2, n // group),
        "(t == 5 or t == 40_000) and noise >= 0": (2, 2),
        "not (t >= 1000) and noise >= 0": (1000, 1),
        "name == 'cell000100' and noise >= 0": (1, 1),
        "name < 'cell001' and noise >= 0": (1000, 2),
        "sparse >= 0 and noise >= 0": (3000, 3),
        "t < 0": (0, 0),
        "t >= 0": (n, 0),
    }
    command = [sys.executable, "-c", textwrap.dedent(READ_OBS), path, *cases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    meta = pq.ParquetFile(path).metadata
    # Every query reads the footer once for each column and its bounds: what the emptiest query reads.
    of_chunk = {
        meta.row_group(0).column(c).path_in_schema.split(".")[0]: max(
            meta.row_group(g).column(c).total_compressed_size for g in range(meta.num_row_groups)
        )
        for c in range(meta.num_columns)
    }
    per_column = found["t < 0"][1]
    for expression, (rows, groups) in cases.items():
        names = [
            name
            for name in ("t", "noise", "name", "sparse")
            if name in expression.split() or f"({name}" in expression
        ]
        most = sum(groups * (of_chunk[name] + 100) for name in names) + per_column * len(names)
        assert found[expression][0] == rows, expression
        assert found[expression][1] <= most, (expression, found[expression], most)
    assert found["noise >= 0 and t < 500"][1] < found["noise >= 0"][1]


def test_one_percent_in_runs_reads_at_most_three_percent(tmp_path):
    rng = np.random.default_rng(4)
    n = 40_000
    x = random_csr(rng, n, 400)
    run = np.arange(n) // 100  # 400 runs
    obs = pd.DataFrame({"run": run, "n": rng.integers(0, 9, n)}, index=[f"c{i}" for i in range(n)])
    path = write_h5ad(tmp_path / "a.h5ad", x, obs, chunks=1000, compression="gzip", compression_opts=1)
    ds = penstock.open(path)
    chosen = ds.query("run in @runs", runs=[17, 100, 101, 333])
    assert len(chosen) == n // 100
    with penstock.Loader(ds, batch_size=64, memory="16MB", to="numpy") as loader:
        for _ in loader:
            pass
        whole = loader.stats()["epoch_bytes_read"]
        assert 0 < loader.plan.bytes_of_selection == loader.plan.bytes_of_all_rows <= whole
    with penstock.Loader(chosen, batch_size=64, memory="16MB", to="numpy") as loader:
        rows = sum(batch.n_obs for batch in loader)
        read, plan = loader.stats()["epoch_bytes_read"], loader.plan
    assert rows == len(chosen)
    assert read == plan.bytes_to_read
    assert read <= 0.03 * whole, (read, whole)
    assert 0.5 * whole <= plan.bytes_of_all_rows <= 2 * whole
    assert f"selection {n // 100:,} of {n:,} rows (1 %)" in str(plan)
    assert plan.n_rows_of_files == n


# --- the command ---


def command(*args: str) -> subprocess.CompletedProcess[str]:
    assert COMMAND is not None, "the command is not built: make build"
    return subprocess.run([COMMAND, *args], capture_output=True, text=True, timeout=300)


def test_the_command_takes_queries(sets):
    ds, _ = sets["files"]
    paths = [file.path for file in ds.files]
    expected = len(ds.query("i >= @least and words in ['b0', 'b1']", least=1))
    query = [
        "--query",
        "i >= @least and words in @names",
        "--param",
        "least=1",
        "--param",
        "names=['b0', 'b1']",
    ]
    plan = json.loads(command("plan", *paths, *query, "--json").stdout)
    assert (plan["n_rows"], plan["n_rows_of_files"]) == (expected, N)
    assert 0 < plan["bytes_of_selection"] <= plan["bytes_of_all_rows"]
    assert f"selection {expected} of {N} rows" in command("plan", *paths, *query).stdout
    stream = json.loads(command("stream", *paths, *query, "--json").stdout)
    assert stream["stats"]["rows"] == expected
    info = json.loads(command("info", *paths, *query, "--json").stdout)
    assert sum(file["selected"] for file in info) == expected
    assert (
        len(ds.query("words == @w", w="b0"))
        == json.loads(command("plan", *paths, "--query", "words == @w", "--param", "w=b0", "--json").stdout)[
            "n_rows"
        ]
    )
    wrong = command("plan", *paths, "--query", "wordz == 1")
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "position 1: obs has no column 'wordz'; did you mean 'words'?" in wrong.stderr
    assert command("plan", *paths, "--query", "i >").returncode == 2
    assert command("plan", *paths, "--query", "i > 1", "--param", "x").returncode == 2


def test_missing_parameters_and_mixed_files(tmp_path):
    import anndata as ad
    import scipy.sparse as sp

    frames = [
        pd.DataFrame(
            {"n": pd.array([1, None, 3], dtype="Int8"), "t": pd.Categorical(["a", None, "b"])},
            index=list("abc"),
        ),
        pd.DataFrame({"n": [1.5, np.nan, 3], "t": pd.Categorical(["a", None, "b"])}, index=list("def")),
    ]
    paths = []
    for i, frame in enumerate(frames):
        paths.append(tmp_path / f"{i}.h5ad")
        ad.AnnData(sp.csr_matrix((3, 2), dtype=np.float32), obs=frame).write_h5ad(paths[-1])
    ds = penstock.open(paths)

    def names(expression, **params):
        return "".join(ds.query(expression, **params).obs_names)

    assert names("n.isnull()") == "be" and names("n != 1") == "cdf"
    assert names("t == @x", x=float("nan")) == "" and names("t != @x", x=float("nan")) == "abcdef"
    assert names("t in [@x]", x=float("nan")) == "be"
    assert names("n / 1000 > 0.002") == "cf"


def test_whole_numbers_divide_exactly(tmp_path):
    import anndata as ad
    import scipy.sparse as sp

    big = np.array([2**63 + 3, 2**53 + 1, 7, 8], np.uint64)
    obs = pd.DataFrame(
        {
            "big": big,
            "by": np.array([7, 2, 0, 2], np.uint8),
            "n": np.array([-7, 8, 0, 9], np.int32),
            "k": pd.array([0, 2, 0, None], dtype="Int32"),
        },
        index=list("abcd"),
    )
    ad.AnnData(sp.csr_matrix((4, 2), dtype=np.float32), obs=obs).write_h5ad(tmp_path / "a.h5ad")
    ds = penstock.open(tmp_path / "a.h5ad")
    assert "".join(ds.query("big % by == 4").obs_names) == "a"  # float64 would say 1
    for expression in (
        "big % by == 1",
        "n // k == 0",
        "n // k < 0",
        "n % k == 0",
        "k // n == 0",
        "5 // k > 9",
    ):
        want = "".join(obs.query(expression, engine="python").index)
        assert "".join(ds.query(expression).obs_names) == want, expression
