"""The layer check finds what it says it finds, on small made-up trees."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_layers


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("user", "used", "allowed"),
    [
        ("io", "base", True),
        ("io", "memory", True),
        ("io", "codecs", False),  # siblings
        ("source", "io", True),
        ("source", "codecs", True),
        ("store", "hdf5", False),
        ("hdf5", "zarr", False),
        ("loader", "plan", True),
        ("plan", "loader", False),
        ("batch", "base", True),
        ("batch", "memory", False),
        ("loader", "batch", True),
        ("python", "batch", True),
        ("plan", "batch", False),
        ("codecs", "codecs/kernels", True),
        ("loader", "codecs/kernels", False),
        ("loader", "helpers", False),  # not a layer
    ],
)
def test_arrows(user: str, used: str, allowed: bool) -> None:
    assert (check_layers.arrow_error(user, used) is None) == allowed


def test_includes_are_read_from_files(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "include/penstock/loader.h": '// Layer: loader.\n#include "loader/bins.h"\n',
            "src/loader/bins.h": "",
            "src/base/status.h": '#include <iostream>\n#include "penstock/loader.h"\n',
            "src/io/file.h": '#include "base/missing.h"\n#include <hdf5.h>\n#include <vector>\n',
            "src/io/testing/fault_file.h": "",
            "src/io/posix.h": '#include "io/testing/fault_file.h"\n',
            "src/io/posix_test.cc": '#include "io/testing/fault_file.h"\n#include "loader/bins.h"\n',
        },
    )
    assert sorted(check_layers.check_includes(root)) == [
        "include/penstock/loader.h:2: public headers may not include src/ (loader/bins.h)",
        "src/base/status.h:1: the core prints nothing, so it needs no <iostream>",
        "src/base/status.h:2: includes penstock/loader.h, but loader is right of base",
        "src/io/file.h:1: base/missing.h does not exist",
        "src/io/file.h:2: <hdf5.h> does not belong in the core",
        "src/io/posix.h:1: io/testing/fault_file.h is for tests and benchmarks",
    ]


def test_public_headers_say_their_layer(tmp_path: Path) -> None:
    files = {"a.h": "// A.\n// Layer: base.\n", "b.h": "// B.\n", "c.h": "// Layer: zarr.\n"}
    root = tree(tmp_path, {f"include/penstock/{name}": text for name, text in files.items()})
    assert list(check_layers.check_headers(root)) == [
        "include/penstock/b.h: says no layer: // Layer: base.",
        "include/penstock/c.h: says no layer: // Layer: base.",
    ]


def test_every_source_is_in_a_target(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "src/io/CMakeLists.txt": "penstock_module(io SOURCES a.cc sub/b.cc  # c.cc\n)",
            "src/io/a.cc": "",
            "src/io/sub/b.cc": "",
            "src/io/c.cc": "",
            "tests/CMakeLists.txt": 'file(GLOB T "${CMAKE_CURRENT_SOURCE_DIR}/fault/*_test.cc")',
            "tests/fault/x_test.cc": "",
        },
    )
    assert [e.split(":")[0] for e in check_layers.check_targets(root)] == ["src/io/c.cc"]


def test_paths_in_documents(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "src/io/file.h": "",
            "src/io/posix_file.cc": "",
            "tools/x.py": "",
            "ARCHITECTURE.md": "`src/io/{file.h,gone.h}`, `io/posix_file.cc`, `tools/*.py`, tools/*.sh,\n"
            "build/release/x, https://example.org/src/none and and/or.\n",
        },
    )
    assert list(check_layers.check_docs(root)) == [
        "ARCHITECTURE.md:1: src/io/gone.h does not exist",
        "ARCHITECTURE.md:1: tools/*.sh does not exist",
    ]


def test_ascii_outside_literals(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {"src/io/a.h": 'auto s = "·"; // fine\nauto r = R"(\n·\n)"; int x;\n// 5 µs\n'},
    )
    assert [e[:14] for e in check_layers.check_ascii(root)] == ["src/io/a.h:5: "]


def test_this_project_is_in_order() -> None:
    assert check_layers.check(Path(__file__).resolve().parents[2]) == []


def test_functions_that_differ_between_machines_do_not_decide_the_order(tmp_path: Path) -> None:
    code = "double x = std::log(2.0);  // log(3)\ndouble y = std::sqrt(2.0);\ncatalog(1);\nx = pow (x, y);\n"
    root = tree(tmp_path, dict.fromkeys(("src/plan/a.cc", "src/plan/a_test.cc", "src/report/a.cc"), code))
    found = list(check_layers.check_order(root))
    assert [error.split(" is ")[0] for error in found] == ["src/plan/a.cc:1: log()", "src/plan/a.cc:4: pow()"]


def test_the_arrows_of_the_page_are_the_scripts(tmp_path: Path) -> None:
    line = check_layers.arrows(check_layers.LAYERS)
    good = tree(
        tmp_path / "good", {"ARCHITECTURE.md": "The arrows:\n`" + line.replace(" <- ", "\n<- ", 2) + "`\n"}
    )
    assert list(check_layers.check_arrows(good)) == []
    bad = tree(tmp_path / "bad", {"ARCHITECTURE.md": f"`{line.replace('memory', 'io')}`"})
    assert len(list(check_layers.check_arrows(bad))) == 1
    assert list(check_layers.check_arrows(tree(tmp_path / "none", {"ARCHITECTURE.md": "no line\n"}))) == []
