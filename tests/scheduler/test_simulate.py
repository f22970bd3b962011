"""The subcommand ``tickwire simulate``."""

from __future__ import annotations

import json

import pytest

from scheduler.simulate import main


def run(capsys, *arguments):
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_one_number_of_clients_is_told_in_full(capsys):
    told = run(capsys, "--clients", "500", "--streams", "market", "--post-latency", "8ms", "--quota", "10000")
    assert "500 clients of market: 2 ticks in 10 s" in told
    assert "the tick's own, 4 shards" in told
    assert "100 %; 0 dropped, 0 out of time" in told
    assert "API Gateway, messages" in told
    assert "AppSync Events" in told
    assert "not enough" not in told


def test_what_the_quota_is_not_enough_for_is_said(capsys):
    told = run(capsys, "--clients", "500", "--quota", "20", "--burst", "10")
    assert "Not everybody gets every tick" in told
    assert "100 %;" not in told


def test_json_has_an_object_for_each_number_of_clients(capsys):
    few, many = json.loads(run(capsys, "--clients", "100,1000", "--threshold", "400", "--json"))
    assert (few["clients"], few["functions"], few["delivered"]) == (100, 0, 1)
    assert (many["clients"], many["functions"], many["shards"], many["posts"]) == (1_000, 3, 4, 2_000)
    assert few["delivered_in"]["p50"] <= few["delivered_in"]["p99"] <= few["delivered_in"]["p100"]
    assert many["total"] == pytest.approx(sum(many["bill"].values()), abs=0.1)


@pytest.mark.parametrize("arguments", [["--clients", "100,200"], ["--clients", "100", "--table"]])
def test_several_numbers_make_a_table(capsys, arguments):
    head, rule, *rows = run(capsys, *arguments).splitlines()
    assert head.startswith("| clients | quota | functions |")
    assert {row.count("|") for row in [rule, *rows]} == {head.count("|")}
    assert rows[0].startswith("| 100 | 10,000 | 1 | 100 % |")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: --clients"),
        (["--clients", "many"], "'many' is no number of clients"),
        (["--clients", "0"], "'0' is not between 1 and 10,000,000"),
        (["--clients", "1,"], "'' is no number of clients"),
        (["--clients", "1e6"], "'1e6' is no number of clients"),
        (["--clients", "99999999"], "'99999999' is not between 1 and 10,000,000"),
        (["--clients", "1", "--streams", "weather"], "no such stream: 'weather'; there are market, signals, binary"),
        (["--clients", "1", "--streams", ","], "no such stream"),
        (["--clients", "1", "--post-latency", "8"], "'8' is no duration above 0 such as 8ms, 150us or 0.5s"),
        (["--clients", "1", "--post-latency", "0ms"], "'0ms' is no duration above 0"),
        (["--clients", "1", "--post-cpu", "-1ms"], "expected one argument"),
        (["--clients", "1", "--quota", "0"], "'0' is not between 1 and"),
        (["--clients", "1", "--quota", "nan"], "'nan' is no rate"),
        (["--clients", "1", "--shards", "2000"], "'2000' is not between 1 and 1,024"),
        (["--clients", "1", "--json", "--table"], "not allowed with argument"),
    ],
)
def test_a_flag_that_means_nothing_is_named_with_what_would(capsys, arguments, sentence):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
