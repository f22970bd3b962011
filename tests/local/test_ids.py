import re
from base64 import urlsafe_b64decode
from random import Random

import pytest

from local.rules.ids import Ids, is_connection_id

CONNECTION = re.compile(r"^[\w-]{5}[c-f][\w-]{5}C[\w-]{2}[AQgw]=$")
REQUEST = re.compile(r"^[\w-]{5}[E-H][\w-]{5}F[\w-]{2}[AQgw]=$")
NOW = 1_700_000_000.0


def test_ids_have_the_form_of_captured_ones():
    ids = Ids("ap-northeast-1", Random(3))
    for step in range(200):
        connection, host = ids.connection(NOW + step)
        assert CONNECTION.match(connection)
        assert CONNECTION.match(ids.message(NOW + step, host))
        assert REQUEST.match(ids.request(NOW + step))
        assert is_connection_id(connection)


def test_the_time_and_the_region_are_those_of_a_capture():
    """A connection of January 2024 in ap-northeast-1, from the test data of AWS's Go library."""
    captured = int.from_bytes(urlsafe_b64decode("R1kmxc2VNjMCFIA="), "big")
    connected_at = (captured >> 58) + 115_262_492
    made, _ = Ids("ap-northeast-1", Random(1)).connection(connected_at / 10)
    ours = int.from_bytes(urlsafe_b64decode(made), "big")
    assert ours >> 54 == captured >> 54, "time and kind"
    assert ours >> 24 & 0x7FFF == captured >> 24 & 0x7FFF, "region"


def test_a_message_shares_its_connections_host_bits():
    ids = Ids("us-east-1", Random(1))
    connection, host = ids.connection(NOW)
    message = ids.message(NOW + 1, host)
    assert connection[-4:] == message[-4:]


def test_no_connection_id_is_given_twice():
    class Stuck(Random):
        """Repeats every number once."""

        def __init__(self):
            self.numbers = (number // 4 for number in range(10_000))

        def getrandbits(self, k):
            return next(self.numbers)

    ids = Ids("us-east-1", Stuck())
    given = [ids.connection(NOW)[0] for _ in range(100)]
    assert len(set(given)) == 100


@pytest.mark.parametrize("text", ["", "abc", "L0SM9cOFvHcCIhwA", "L0SM9cOFvHcCIh/=", "L0SM9cOFvHcCIhw==", "a b"])
def test_other_texts_are_no_ids(text):
    assert not is_connection_id(text)


def test_an_unknown_region_has_bits_of_its_own():
    def bits(region):
        made, _ = Ids(region, Random(3)).connection(NOW)
        assert CONNECTION.match(made)
        return int.from_bytes(urlsafe_b64decode(made), "big") >> 24 & 0x7FFF

    regions = ["eu-west-1", "eu-central-1", "sa-east-1", "us-east-1"]
    assert len({bits(region) for region in regions}) == len(regions)
    assert bits("eu-west-1") == bits("eu-west-1")
