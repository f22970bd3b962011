import { describe, expect, it } from 'vitest'

import { beginAnew, clock, connect, connectLive, gateway, record } from '../../tests/client'
import { quote, START } from '../../tests/fakes'
import type { ErrorMessage, MarketUpdate } from '../protocol'

beginAnew()

describe('messages', () => {
  it('expands a batch and merges what changed into the last known full data', async () => {
    const { updates } = await connectLive()
    gateway.tick({ BTC: { last: 101, ts: START + 5_000 } })
    expect(updates.at(-1)).toEqual({
      type: 'market_update',
      symbol: 'BTC',
      data: quote(101, { bid: 99, ask: 101, ts: START + 5_000 }),
    })
  })

  it('gives stores one event per batch', async () => {
    const { client } = await connectLive()
    const batches = record(client, 'batch')
    gateway.tick({ BTC: { last: 101 }, ETH: { last: 11 } })
    expect(batches).toMatchObject([
      {
        stream: 'market',
        seq: 101,
        updates: [
          { symbol: 'BTC', data: { last: 101, source: 'binance' } },
          { symbol: 'ETH', data: { last: 11 } },
        ],
      },
    ])
  })

  it('drops a batch whose seq it has seen', async () => {
    const { updates } = await connectLive()
    const message = { type: 'market_batch', seq: 101, prev: 100, ts: START, updates: [] as unknown[] }
    gateway.socket.say({ ...message, updates: [{ symbol: 'BTC', data: { last: 101 } }] })
    gateway.socket.say({ ...message, updates: [{ symbol: 'BTC', data: { last: 99 } }] })
    gateway.socket.say({ ...message, seq: 90, updates: [{ symbol: 'BTC', data: { last: 98 } }] })
    expect(updates.slice(2).map(({ data }) => data.last)).toEqual([101])
  })

  it('takes every part of a batch that comes in parts', async () => {
    const { client, updates } = await connectLive()
    const gaps = record(client, 'gap')
    const message = { type: 'market_batch', seq: 101, prev: 100, ts: START, parts: 2 }
    gateway.socket.say({ ...message, part: 1, updates: [{ symbol: 'BTC', data: { last: 101 } }] })
    gateway.socket.say({ ...message, part: 2, updates: [{ symbol: 'ETH', data: { last: 11 } }] })
    expect(updates.slice(2).map(({ data }) => data.last)).toEqual([101, 11])
    expect(gaps).toEqual([])
  })

  it('joins a snapshot that follows its answer in parts', async () => {
    gateway.answers = false
    const client = connect()
    const seen: MarketUpdate[] = []
    client.connectMarket((update) => seen.push(update))
    await clock.settle()
    const { id } = gateway.socket.requests[0] ?? { id: '' }
    gateway.socket.say({
      type: 'subscribed',
      id,
      v: 1,
      server_time: START,
      max_age_ms: 6_900_000,
      ping_after_ms: 15_000,
      streams: { market: { seq: 100, period_ms: 5_000 } },
    })
    gateway.socket.say({ type: 'snapshot', id, ...gateway.snapshot(['BTC']), part: 1, parts: 2 })
    gateway.socket.say({ type: 'snapshot', id, ...gateway.snapshot(['ETH']), part: 2, parts: 2 })
    gateway.socket.say({ type: 'market_batch', seq: 101, prev: 100, ts: START, updates: [] })
    expect(seen.map(({ symbol }) => symbol)).toEqual(['BTC', 'ETH'])
    expect(gateway.socket.asked('snapshot')).toHaveLength(0)
  })

  it('lays an older snapshot under newer values, never over them', async () => {
    const { client } = await connectLive()
    const late = gateway.snapshot(null)
    gateway.tick({ BTC: { last: 101 } })
    const batches = record(client, 'batch')
    gateway.socket.say({ type: 'snapshot', id: null, ...late })
    expect(batches[0]?.updates).toMatchObject([
      { symbol: 'BTC', data: { last: 101 } },
      { symbol: 'ETH', data: { last: 10 } },
    ])
    expect(client.status.seq.market).toBe(101)
  })

  it('withholds a quote of which it has only seen a part', async () => {
    const { updates } = await connectLive()
    const seen = updates.length
    gateway.tick({ NEW: { last: 5, bid: null, ask: null, change_pct: null, ts: START } })
    expect(updates).toHaveLength(seen)
    gateway.socket.say({ type: 'snapshot', id: null, ...gateway.snapshot(null), data: { NEW: quote(4) } })
    expect(updates.at(-1)).toMatchObject({ symbol: 'NEW', data: { last: 4, source: 'binance' } })
  })

  it('freezes what it hands out, for every listener gets the same object', async () => {
    const { updates } = await connectLive()
    expect(Object.isFrozen(updates[0]?.data)).toBe(true)
  })

  it('counts malformed frames and throws nothing into the page', async () => {
    const { client } = await connectLive()
    for (const text of ['{', 'null', '7', '{"no":"type"}', '{"type":"market_batch","seq":101,"prev":100}']) {
      gateway.socket.say(text)
    }
    expect(client.status).toMatchObject({ state: 'live', malformed: 5 })
  })

  it('ignores binary frames and types it does not know', async () => {
    const { client, updates } = await connectLive()
    const seen = updates.length
    gateway.socket.onmessage?.({ data: new ArrayBuffer(8) } as never)
    gateway.socket.say({ type: 'weather', degrees: 21 })
    expect(client.status.malformed).toBe(0)
    expect(updates).toHaveLength(seen)
  })

  it('tells every message with its length', async () => {
    const { client } = await connectLive()
    const messages = record(client, 'message')
    gateway.socket.say({ type: 'status', component: 'provider.kraken', state: 'down', since: START })
    expect(messages).toEqual([
      { message: expect.objectContaining({ component: 'provider.kraken' }) as never, length: 84 },
    ])
  })

  it("maps the gateway's own error frames to the code internal", async () => {
    const { client } = await connectLive()
    const errors = record(client, 'error')
    gateway.socket.say({ message: 'Internal server error', connectionId: 'BFaT_fALIAMCKug=', requestId: 'x' })
    expect(errors).toMatchObject([{ type: 'error', code: 'internal', message: 'Internal server error' }])
  })
})

describe('gaps', () => {
  it('reports a gap, applies the batch, and asks for one snapshot', async () => {
    const { client, updates } = await connectLive()
    const gaps = record(client, 'gap')
    gateway.tick({ ETH: { last: 12 } }, { lost: true })
    gateway.tick({ BTC: { last: 102 } })
    expect(gaps).toEqual([{ stream: 'market', from: 100, to: 102 }])
    expect(updates.at(-1)).toMatchObject({ symbol: 'BTC', data: { last: 102 } })
    clock.pass(0)
    expect(gateway.socket.asked('snapshot')).toMatchObject([{ stream: 'market' }])
    expect(updates.filter(({ symbol }) => symbol === 'ETH').at(-1)?.data.last).toBe(12)
  })

  it('asks for a snapshot when it subscribed before the first tick ever, to learn what the instruments are called', async () => {
    gateway.answers = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    const { id } = gateway.socket.requests[0] ?? { id: '' }
    gateway.socket.say({
      type: 'subscribed',
      id,
      v: 1,
      server_time: START,
      max_age_ms: 6_900_000,
      ping_after_ms: 15_000,
      streams: { market: { seq: null, period_ms: 5_000 } },
    })
    const updates = [{ symbol: 'BTC', data: quote(1) }]
    gateway.socket.say({ type: 'market_batch', seq: 101, prev: null, ts: START, updates })
    clock.pass(0)
    expect(gateway.socket.asked('snapshot')).toMatchObject([{ stream: 'market' }])
  })

  it('throttles snapshots to one in five seconds', async () => {
    await connectLive()
    for (let count = 0; count < 4; count++) {
      gateway.tick({}, { lost: true })
      gateway.tick({})
      clock.pass(100)
    }
    expect(gateway.socket.asked('snapshot')).toHaveLength(1)
    clock.pass(6_000)
    expect(gateway.socket.asked('snapshot')).toHaveLength(2)
    clock.pass(6_000)
    expect(gateway.socket.asked('snapshot')).toHaveLength(2)
  })

  it('is content with one snapshot for all ticks that were missed before it', async () => {
    await connectLive()
    for (let count = 0; count < 4; count++) {
      gateway.tick({}, { lost: true })
      gateway.tick({})
    }
    clock.pass(12_000)
    expect(gateway.socket.asked('snapshot')).toHaveLength(1)
  })

  it('asks again for a snapshot that was refused for the moment', async () => {
    await connectLive()
    gateway.answers = false
    gateway.tick({}, { lost: true })
    gateway.tick({})
    const [request] = gateway.socket.asked('snapshot')
    gateway.refuse(gateway.socket, request?.id ?? '', 'unavailable', { retryable: true, retry_after_ms: 7_000 })
    clock.pass(6_500)
    expect(gateway.socket.asked('snapshot')).toHaveLength(1)
    clock.pass(2_000)
    expect(gateway.socket.asked('snapshot')).toHaveLength(2)
  })

  it('starts anew when the numbers of a stream begin again far below', async () => {
    const { updates } = await connectLive()
    gateway.seq = 5
    gateway.socket.end()
    clock.pass(2_000)
    await clock.settle()
    gateway.tick({ BTC: { last: 103 } })
    expect(updates.at(-1)?.data.last).toBe(103)
  })
})

describe('requests', () => {
  it('answers a request with the message of its id', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    const answer = client.request({ action: 'candles', symbol: 'BTC', timeframe: '1h' })
    const [request] = gateway.socket.asked('candles')
    gateway.socket.say({ type: 'candles', id: request?.id, symbol: 'BTC', timeframe: '1h', candles: [] })
    await expect(answer).resolves.toMatchObject({ type: 'candles', symbol: 'BTC' })
  })

  it("rejects a request with the server's error", async () => {
    const { client } = await connectLive()
    gateway.answers = false
    const answer = client.request({ action: 'candles', symbol: 'BTC', timeframe: '1h' })
    gateway.refuse(gateway.socket, gateway.socket.asked('candles')[0]?.id ?? '', 'unknown_action')
    await expect(answer).rejects.toMatchObject({ code: 'unknown_action' })
  })

  it('queues requests until the socket opens, at most 32 of them', async () => {
    gateway.accepts = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    const answers = Array.from({ length: 33 }, () => client.request({ action: 'votes' }))
    const refused: ErrorMessage[] = []
    for (const answer of answers) answer.catch((error: unknown) => refused.push(error as ErrorMessage))
    await clock.settle()
    expect(refused).toMatchObject([{ code: 'unavailable', retryable: true }])
    gateway.socket.open()
    expect(gateway.socket.asked('votes')).toHaveLength(32)
  })

  it('asks again on the next socket what the lost one did not answer', async () => {
    const { client } = await connectLive()
    const answer = client.request({ action: 'votes' })
    gateway.socket.end()
    clock.pass(2_000)
    await clock.settle()
    const [request] = gateway.socket.asked('votes')
    gateway.socket.say({ type: 'votes', id: request?.id, symbol: 'BTC', timeframe: '1h', votes: {} })
    await expect(answer).resolves.toMatchObject({ type: 'votes' })
  })

  it('gives a request up after ten seconds', async () => {
    const { client } = await connectLive()
    const answer = client.request({ action: 'votes' })
    const refused = expect(answer).rejects.toMatchObject({ code: 'unavailable', message: 'no answer' })
    clock.pass(11_000)
    await refused
  })

  it('rejects requests when nobody listens, and those under way when all is closed', async () => {
    await expect(connect().request({ action: 'votes' })).rejects.toMatchObject({ code: 'unavailable' })
    const { client } = await connectLive()
    const refused = expect(client.request({ action: 'votes' })).rejects.toMatchObject({ code: 'unavailable' })
    client.disconnectAll()
    await refused
  })

  it('sends nothing into a buffer that does not drain', async () => {
    const { client } = await connectLive()
    gateway.socket.bufferedAmount = 100_000
    void client.request({ action: 'votes' }).catch(() => undefined)
    expect(gateway.socket.asked('votes')).toHaveLength(0)
    gateway.socket.bufferedAmount = 0
    clock.pass(1_000)
    expect(gateway.socket.asked('votes')).toHaveLength(1)
  })
})
