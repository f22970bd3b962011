"""A provider that fails: the last value stays, says how old it is, and comes back."""

import pytest

from tests.end_to_end.clients import Client, assert_every_tick_once


async def fail(session, emulator, **how):
    async with session.put(f"{emulator.http}/exchange/control/binance", json=how) as answer:
        assert answer.status < 300, await answer.text()


async def quotes_turn_stale_and_recover(session, emulator, seconds):
    client = await Client.following(session, emulator)
    await fail(session, emulator, status=500, for_s=seconds)

    def says(*, stale):
        def wanted(message):
            return any(update["data"].get("stale") is stale for update in message.get("updates", ()))

        return wanted

    after = len(client.received)
    tick = await client.find(says(stale=True), within=30, after=after)
    quote = next(update["data"] for update in tick["updates"] if update["data"].get("stale"))
    assert tick["ts"] - quote["ts"] > 10_000, "its age can be told"
    assert quote["last"] is not None, "the last value stays"
    await client.find(says(stale=False), within=seconds + 30, after=after)
    assert_every_tick_once(client)
    assert not client.socket.closed
    await client.close()


async def test_a_failing_provider_makes_quotes_stale_until_it_recovers(emulator, session):
    # Stale means older than two periods, so the fourth tick without an answer is sure to say so.
    await quotes_turn_stale_and_recover(session, emulator, 21)


@pytest.mark.soak
async def test_a_provider_that_fails_for_30_seconds(emulator, session):
    await quotes_turn_stale_and_recover(session, emulator, 30)
