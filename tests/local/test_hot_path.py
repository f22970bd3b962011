"""Short cuts of the hot path, each beside the long way that it stands for."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from local.front.by_host import by_stage
from local.front.socket_protocol import text_head
from local.management import connection_id_of


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 32_768])
def test_the_head_of_a_text_frame_is_what_websockets_writes(size: int) -> None:
    text = b"x" * size
    assert text_head(size) + text == Frame(Opcode.TEXT, text).serialize(mask=False)


@pytest.mark.parametrize(
    "path", [b"BFaT_fALIAMCKug=", b"BFaT_fALIAMCKug%3D", b"%42FaT%5ffALIAMCKug%3d"], ids=["plain", "encoded", "all"]
)
def test_an_id_is_read_however_the_path_spells_it(path: bytes) -> None:
    assert connection_id_of(path) == "BFaT_fALIAMCKug="


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"/prod", "stage"),
        (b"/prod/", "stage"),
        (b"/prod/@connections/a", "stage"),
        (b"/production", "rest"),
        (b"/other/prod", "rest"),
        (b"/", "rest"),
        (b"", "rest"),
    ],
)
async def test_the_first_part_of_a_path_leads_to_its_stage(path: bytes, leads_to: str) -> None:
    reached = []

    def application(name: str):
        async def serve(*_: object) -> None:
            reached.append(name)

        return serve

    await by_stage(application("rest"), {"prod": application("stage")})({"raw_path": path}, None, None)
    assert reached == [leads_to]
