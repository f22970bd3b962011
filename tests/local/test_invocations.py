import re

import msgspec

from local.functions.invocations import Output, end_lines, exited, new_request_id, new_trace_id, timeout_line, was_lost


def lines_of(*chunks):
    said = []
    output = Output("prices", said.append)
    for chunk in chunks:
        output.feed(chunk, "r-1")
    output.flush("r-1")
    return [line.text for line in said]


def test_a_line_is_reported_when_it_has_ended():
    said = []
    output = Output("prices", said.append)
    output.feed(b"one\ntw", "r-1")
    assert [(line.function, line.request_id, line.text, line.stream) for line in said] == [
        ("prices", "r-1", "one", "output")
    ]


def test_a_line_in_two_pieces_is_one_line():
    assert lines_of(b"o", b"ne\n") == ["one"]


def test_a_line_without_an_end_is_reported_at_the_end_of_the_event():
    assert lines_of(b"one\ntwo") == ["one", "two"]


def test_a_stack_trace_of_the_official_client_becomes_lines_with_spaces():
    assert lines_of("[ERROR] KeyError\rTraceback:\r\u00a0\u00a0File x\n".encode()) == [
        "[ERROR] KeyError",
        "Traceback:",
        "  File x",
    ]


def test_a_line_end_of_two_characters_counts_once_even_when_it_is_torn():
    assert lines_of(b"one\r", b"\ntwo\r\nthree\n") == ["one", "two", "three"]


def test_an_endless_line_is_cut():
    said = []
    Output("prices", said.append).feed(b"x" * 300_000, "")
    assert [len(line.text) for line in said] == [300_000]


def test_bytes_that_are_no_text_are_shown_as_such():
    assert lines_of(b"\xff\n") == ["\ufffd"]


def test_the_tail_is_the_last_4_kb_and_starts_anew_when_taken():
    output = Output("prices", lambda line: None)
    output.feed(b"a" * 5000 + b"end\n", "")
    assert output.take_tail() == b"a" * 4092 + b"end\n"
    assert output.take_tail() == b""


def test_the_exit_of_a_process_is_described_as_lambda_does():
    """Source: Lambda's Runtime.ExitError."""
    described = [msgspec.json.decode(exited("r-1", status)) for status in (1, 0, -9, -11)]
    assert [error["errorMessage"] for error in described] == [
        "RequestId: r-1 Error: Runtime exited with error: exit status 1",
        "RequestId: r-1 Error: Runtime exited without providing a reason",
        "RequestId: r-1 Error: Runtime exited with error: signal: killed",
        "RequestId: r-1 Error: Runtime exited with error: signal: segmentation fault",
    ]
    assert {error["errorType"] for error in described} == {"Runtime.ExitError"}


def test_only_a_kill_from_outside_loses_a_process():
    assert [was_lost(status) for status in (0, 1, -9, -15, -11, -6)] == [False, False, True, True, False, False]


def test_request_ids_are_uuids_of_version_4_and_trace_ids_are_of_x_ray():
    request_id = new_request_id()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", request_id)
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", new_trace_id(new_request_id())
    )
    assert request_id != new_request_id()


def test_the_report_line_rounds_the_billed_duration_up():
    assert end_lines("r-1", 0.0021, 256, 40) == (
        "END RequestId: r-1",
        "REPORT RequestId: r-1\tDuration: 2.10 ms\tBilled Duration: 3 ms\tMemory Size: 256 MB\tMax Memory Used: 40 MB",
    )


def test_memory_that_is_not_known_is_not_reported():
    assert "Max Memory" not in end_lines("r-1", 0.0021, 256, None)[1]


def test_a_timeout_is_logged_with_its_instant():
    assert (
        timeout_line("r-1", 3, 1_700_000_000.1234) == "2023-11-14T22:13:20.123Z r-1 Task timed out after 3.00 seconds"
    )
