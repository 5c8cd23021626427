"""`stratum simulate` from files to output."""

import csv
import json
from xml.etree import ElementTree

import pyarrow
import pytest
from pyarrow import parquet

from stratum import cli
from stratum.adapters.trace_file import read_trace
from stratum.domain.errors import InvalidArgument
from stratum.domain.policies import POLICIES
from stratum.domain.pricing import DEFAULT_PRICES_TOML

DAY_S = 86400
ROWS = [
    (0, "a/1.txt", "PUT", 50_000_000),
    (DAY_S, "a/2,odd.txt", "PUT", 2_000),
    (3 * DAY_S, "a/1.txt", "GET", 50_000_000),
    (90 * DAY_S, "a/1.txt", "GET", 50_000_000),
    (91 * DAY_S, "missing", "GET", 1),
    (400 * DAY_S, "a/2,odd.txt", "DELETE", 0),
]


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("t", "key", "op", "size"), *ROWS])
    return path


@pytest.fixture
def simulate(tmp_path, capsys):
    def run(*arguments):
        code = cli.run(["simulate", "--data", str(tmp_path / "data"), *map(str, arguments)])
        return code, capsys.readouterr()

    return run


def test_all_policies_are_compared_with_the_optimum(simulate, trace, tmp_path):
    chart = tmp_path / "chart.svg"
    code, output = simulate("--trace", trace, "--format", "json", "--chart", chart)
    assert code == 0
    document = json.loads(output.out)
    [simulated] = document["traces"]
    assert [record["policy"] for record in simulated["policies"]] == list(POLICIES)
    for record in simulated["policies"]:
        assert record["ratio"] == pytest.approx(record["cost"] / simulated["optimum"])
        assert record["ratio"] >= 1
        assert record["cost"] == pytest.approx(sum(record["costs"].values()))
        assert (record["reads"], record["left_out"]) == (2, 1)
    texts = {element.text for element in ElementTree.parse(chart).iter()}
    assert set(POLICIES) <= texts
    assert not (tmp_path / "data").exists(), "a simulation leaves the store alone"


def test_text_names_policies_and_what_was_left_out(simulate, trace):
    code, output = simulate("--trace", trace, "--policy", "hazard", "always-warm")
    assert code == 0
    assert "× opt" in output.out
    assert "left out: 1 request for keys that were not there" in output.out
    assert output.out.index("hazard") < output.out.index("always-warm")


def test_moves_are_written_as_csv(simulate, trace, tmp_path):
    out = tmp_path / "moves.csv"
    code, _ = simulate("--trace", trace, "--policy", "age-30-90", "--moves-out", out)
    assert code == 0
    with out.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["t", "key", "from", "to"],
            ["0", "a/1.txt", "", "hot"],
            [str(DAY_S), "a/2,odd.txt", "", "hot"],
            [str(30 * DAY_S), "a/1.txt", "hot", "warm"],
            [str(31 * DAY_S), "a/2,odd.txt", "hot", "warm"],
            [str(90 * DAY_S), "a/1.txt", "warm", "cold"],
            [str(91 * DAY_S), "a/2,odd.txt", "warm", "cold"],
        ]


def test_prices_come_from_the_file(simulate, trace, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text(DEFAULT_PRICES_TOML.replace("0.040", "0.080"))
    arguments = ("--trace", trace, "--policy", "always-hot", "--format", "json")
    _, usual = simulate(*arguments)
    _, doubled = simulate(*arguments, "--prices", prices)
    [before], [after] = (
        json.loads(output.out)["traces"][0]["policies"] for output in (usual, doubled)
    )
    assert after["costs"]["storage"] == pytest.approx(2 * before["costs"]["storage"])


def test_parquet_is_read_like_csv(trace, tmp_path):
    columns = dict(zip(("t", "key", "op", "size"), zip(*ROWS, strict=True), strict=True))
    path = tmp_path / "trace.parquet"
    table = pyarrow.table({name: list(values) for name, values in columns.items()})
    parquet.write_table(table, path)
    assert read_trace(path) == read_trace(trace)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns"),
        ("t,key,size\n", "must name the columns"),
        ("t,key,op,size\n1,a,HEAD,0\n", "row 1: op is PUT, GET or DELETE, not 'HEAD'"),
        ("t,key,op,size\n1,a,PUT,5\nx,a,GET,5\n", "row 2: .*'x'"),
        ("t,key,op,size\n5,a,PUT,5\n4,a,GET,5\n", "row 2: second 4 comes after second 5"),
        ("t,key,op,size\n0,a,PUT,5\n99999999999,a,GET,5\n", "row 2: .* t is in seconds"),
        ("t,key,op,size\n5,a,PUT,-5\n", "row 1: the size -5 is negative"),
        ("t,key,op,size\n5,a,PUT\n", "row 1: 4 columns expected, not 3"),
    ],
)
def test_what_is_no_trace_is_refused(text, message, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        read_trace(path)


@pytest.mark.parametrize("content", [b"not parquet at all", b""])
def test_what_is_no_parquet_is_refused(content, tmp_path):
    path = tmp_path / "trace.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match="parquet"):
        read_trace(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trace", "absent.csv"),
        ("--trace", "{trace}", "--moves-out", "moves.csv"),
        ("--trace", "{trace}", "--trace", "{trace}", "--policy", "hazard", "--moves-out", "m.csv"),
        ("--trace", "{trace}", "--prices", "{trace}"),
    ],
)
def test_bad_usage_ends_with_2(simulate, trace, arguments):
    code, output = simulate(*(text.format(trace=trace) for text in arguments))
    assert code == 2
    assert output.err.startswith("stratum: ")


def test_errors_of_a_worker_arrive(simulate, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text("t,key,op,size\n1,a,HEAD,0\n")
    code, output = simulate("--trace", broken, "--policy", "hazard")
    assert code == 2
    assert "row 1: op is PUT, GET or DELETE" in output.err
