"""Clients that vanish without a word."""

from tests.end_to_end.clients import Client, assert_every_tick_once


async def test_a_client_that_vanishes_is_forgotten_and_nobody_else_notices(emulator, session):
    client = await Client.following(session, emulator)
    lost = [await Client.connect(session, emulator.ready["websocket"]) for _ in range(5)]
    for one in lost:
        await one.subscribe()
    for one in lost:
        transport = one.socket.get_extra_info("socket")
        assert transport is not None
        one.socket._response.connection.transport.abort()
    await client.batches(3, within=25)
    assert_every_tick_once(client)
    await client.close()
