from pathlib import Path

import pytest

from local.template.reader import read_template
from local.template.source import parse

INFRA = Path(__file__).parents[2] / "infra"


@pytest.fixture(scope="session")
def source():
    """The template as it is written, before SAM's transform."""
    document, odd = parse((INFRA / "template.yaml").read_text(encoding="utf-8"))
    assert odd == []
    return document


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The template as the emulator understands it."""
    return read_template(
        INFRA / "template.yaml",
        parameters={},
        cache=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture(scope="session")
def infra():
    return INFRA
