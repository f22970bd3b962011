import { beforeEach, describe, expect, it, vi } from 'vitest'

import { FakeClock, FakeGateway, FakePage, quote, START } from '../../tests/fakes'
import type { ErrorMessage, MarketUpdate } from '../protocol'
import shared, { type Events, type Options, TradingSystemWebSocket } from './tradingSystemWebSocket'

let clock: FakeClock
let page: FakePage
let gateway: FakeGateway
let chance: number

const connect = (options: Options = {}): TradingSystemWebSocket =>
  new TradingSystemWebSocket({
    url: 'wss://example/stage',
    WebSocket: gateway.WebSocket,
    clock,
    page,
    random: () => chance,
    ...options,
  })

/** A client that follows the market and has its first snapshot. */
async function connectLive(options: Options = {}): Promise<{ client: TradingSystemWebSocket; updates: MarketUpdate[] }> {
  const client = connect(options)
  const updates: MarketUpdate[] = []
  client.connectMarket((update) => updates.push(update))
  await clock.settle()
  expect(client.status.state).toBe('live')
  return { client, updates }
}

/** Ticks every five seconds, as from a healthy server. */
function pass(seconds: number): void {
  for (let second = 1; second <= seconds; second++) {
    clock.pass(1_000)
    if (second % 5 === 0) gateway.tick({})
  }
}

function record<E extends keyof Events>(client: TradingSystemWebSocket, event: E): Events[E][] {
  const seen: Events[E][] = []
  client.on(event, (value) => seen.push(value))
  return seen
}

beforeEach(() => {
  clock = new FakeClock()
  page = new FakePage()
  gateway = new FakeGateway(clock)
  chance = 0.5
})

describe('the facade', () => {
  it('is one instance as the default export, which opens nothing by itself', () => {
    expect(shared).toBeInstanceOf(TradingSystemWebSocket)
    expect(shared.status.state).toBe('idle')
  })

  it('hands out one message per symbol in the original shape', async () => {
    const { updates } = await connectLive()
    expect(updates).toEqual([
      { type: 'market_update', symbol: 'BTC', data: quote(100) },
      { type: 'market_update', symbol: 'ETH', data: quote(10) },
    ])
  })

  it('hands out signals and sentiment under their own types', async () => {
    gateway.data = { BTC: { label: 'BUY' } }
    const client = connect()
    const types: string[] = []
    client.connectSignals(({ type }) => types.push(type))
    client.connectBinary(({ type }) => types.push(type))
    await clock.settle()
    expect(types).toEqual(['signal_update', 'binary_update'])
  })

  it('carries three streams over one socket', async () => {
    const client = connect()
    client.connectMarket(() => undefined)
    client.connectSignals(() => undefined)
    client.connectBinary(() => undefined)
    await clock.settle()
    expect(gateway.sockets).toHaveLength(1)
    expect(gateway.socket.asked('subscribe').map((request) => request['streams'])).toEqual([
      ['market'],
      ['signals'],
      ['binary'],
    ])
  })

  it('opens the public path of the first wanted stream on its own host when it is told no address', async () => {
    vi.stubGlobal('location', { origin: 'https://prices.example:8443' })
    const client = connect({ url: undefined as never })
    client.connectSignals(() => undefined)
    await clock.settle()
    expect(gateway.socket.url).toBe('wss://prices.example:8443/ws/trading/signals/stream')
    vi.unstubAllGlobals()
  })

  it('ends a subscription that only the path has made', async () => {
    gateway.accepts = false
    const client = connect()
    const stop = client.connectMarket(() => undefined)
    await clock.settle()
    stop()
    client.connectSignals(() => undefined)
    await clock.settle()
    gateway.socket.open()
    gateway.socket.symbols.set('market', null)
    gateway.tick({ BTC: { last: 1 } })
    clock.pass(6_000)
    expect(gateway.socket.asked('unsubscribe')).toMatchObject([{ streams: ['market'] }])
  })

  it('says how things stand', async () => {
    const { client } = await connectLive()
    expect(client.status).toEqual({
      state: 'live',
      reason: '',
      attempt: 0,
      nextRetryAt: null,
      lastMessageAt: START,
      rtt: 0,
      clockOffset: 0,
      malformed: 0,
      seq: { market: 100, signals: 0, binary: 0 },
    })
    expect(client.instruments.get('BTC')).toMatchObject({ name: 'BTC', decimals: 2 })
  })

  it('types its events and stops telling after the returned function is called', async () => {
    const client = connect()
    const states: string[] = []
    const stop = client.on('state', ({ state }) => states.push(state))
    client.connectMarket(() => undefined)
    await clock.settle()
    expect(states).toEqual(['connecting', 'live'])
    stop()
    client.disconnectAll()
    expect(states).toEqual(['connecting', 'live'])
  })
})

describe('listeners', () => {
  it('ends one listener by the returned function, however often it is called', async () => {
    const { client, updates } = await connectLive()
    const others: MarketUpdate[] = []
    const stop = client.connectMarket((update) => others.push(update))
    await clock.settle()
    stop()
    stop()
    const seen = others.length
    gateway.tick({ BTC: { last: 101 } })
    expect(others).toHaveLength(seen)
    expect(updates.at(-1)?.data.last).toBe(101)
  })

  it('ends a listener by its AbortSignal', async () => {
    const client = connect()
    const controller = new AbortController()
    const updates: MarketUpdate[] = []
    client.connectMarket((update) => updates.push(update), { signal: controller.signal })
    await clock.settle()
    controller.abort()
    gateway.tick({ BTC: { last: 101 } })
    expect(updates.map(({ data }) => data.last)).not.toContain(101)
    clock.pass(6_000)
    expect(client.status.state).toBe('idle')
  })

  it('opens nothing for a signal that is already aborted', async () => {
    connect().connectMarket(() => undefined, { signal: AbortSignal.abort() })
    await clock.settle()
    expect(gateway.sockets).toHaveLength(0)
  })

  it('gives a late listener the last known values at once', async () => {
    const { client } = await connectLive()
    gateway.tick({ BTC: { last: 105 } })
    const seen: MarketUpdate[] = []
    client.connectMarket((update) => seen.push(update), { symbols: ['btc'] })
    await clock.settle()
    expect(seen).toEqual([{ type: 'market_update', symbol: 'BTC', data: quote(105, { bid: 99, ask: 101 }) }])
    expect(gateway.socket.asked('subscribe')).toHaveLength(1)
  })

  it('subscribes to the union of symbols and gives each listener its own', async () => {
    const client = connect()
    const [mine, yours]: [string[], string[]] = [[], []]
    client.connectMarket(({ symbol }) => mine.push(symbol), { symbols: ['btc', ' BTC '] })
    client.connectMarket(({ symbol }) => yours.push(symbol), { symbols: ['ETH'] })
    await clock.settle()
    expect(gateway.socket.asked('subscribe')).toMatchObject([{ symbols: ['BTC', 'ETH'] }])
    expect([mine, yours]).toEqual([['BTC'], ['ETH']])
  })

  it('asks for more symbols at once and for fewer after five seconds', async () => {
    const client = connect()
    const stop = client.connectMarket(() => undefined, { symbols: ['BTC'] })
    await clock.settle()
    client.connectMarket(() => undefined, { symbols: ['ETH'] })
    await clock.settle()
    stop()
    clock.pass(6_000)
    const [first, second, third] = gateway.socket.asked('subscribe')
    expect(first).toMatchObject({ symbols: ['BTC'] })
    expect(second).toMatchObject({ symbols: ['BTC', 'ETH'] })
    expect(second).not.toHaveProperty('since')
    expect(third).toMatchObject({ symbols: ['ETH'] })
  })

  it('asks for everything rather than for more than 500 symbols', async () => {
    const symbols = Array.from({ length: 501 }, (_, index) => `S${index}`)
    connect().connectMarket(() => undefined, { symbols })
    await clock.settle()
    expect(gateway.socket.asked('subscribe')[0]).not.toHaveProperty('symbols')
  })

  it.each([[[]], [['']], [['BTC USD']], [['A'.repeat(21)]]])('refuses %j for symbols', (symbols) => {
    expect(() => connect().connectMarket(() => undefined, { symbols })).toThrow(TypeError)
  })

  it('unsubscribes a stream five seconds after its last listener, and keeps the socket for the others', async () => {
    const { client } = await connectLive()
    const stop = client.connectSignals(() => undefined)
    await clock.settle()
    stop()
    clock.pass(3_000)
    expect(gateway.socket.asked('unsubscribe')).toHaveLength(0)
    clock.pass(3_000)
    expect(gateway.socket.asked('unsubscribe')).toMatchObject([{ streams: ['signals'] }])
    expect(client.status.state).toBe('live')
  })

  it('lingers five seconds after the last listener, then closes and goes idle', async () => {
    const client = connect()
    const stop = client.connectMarket(() => undefined)
    await clock.settle()
    stop()
    clock.pass(3_000)
    const stopAgain = client.connectMarket(() => undefined)
    await clock.settle()
    clock.pass(3_000)
    expect(gateway.sockets).toHaveLength(1)
    expect(client.status.state).toBe('live')
    stopAgain()
    clock.pass(6_000)
    expect(client.status.state).toBe('idle')
    expect(gateway.socket.closedWith).toBe(1000)
    expect(clock.timers + page.listening).toBe(0)
  })

  it('disconnects all at once and starts anew afterwards', async () => {
    const { client, updates } = await connectLive()
    client.disconnectAll()
    expect(client.status).toMatchObject({ state: 'closed', reason: 'disconnectAll' })
    expect(gateway.socket.closedWith).toBe(1000)
    expect(clock.timers + page.listening).toBe(0)
    const seen = updates.length
    client.connectMarket((update) => updates.push(update))
    await clock.settle()
    expect(gateway.sockets).toHaveLength(2)
    expect(updates.length).toBe(seen + 2)
  })

  it('isolates the exception of a callback: the socket and the other listeners go on', async () => {
    const complaints = vi.spyOn(console, 'error').mockReturnValue()
    const client = connect()
    const fault = new Error('of the page')
    client.on('batch', () => {
      throw fault
    })
    client.connectMarket(() => {
      throw fault
    })
    const symbols: string[] = []
    client.connectMarket(({ symbol }) => symbols.push(symbol))
    await clock.settle()
    expect(symbols).toEqual(['BTC', 'ETH'])
    expect(complaints).toHaveBeenCalledWith(fault)
    expect(client.status).toMatchObject({ state: 'live', malformed: 0 })
  })
})

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

describe('reconnection', () => {
  it('waits with full jitter between a floor and a doubling cap', async () => {
    gateway.accepts = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    const delays: number[] = []
    for (chance of [0, 0.999_999, 0.5, 1, 1, 1, 1, 1, 1]) {
      gateway.socket.end()
      const delay = (client.status.nextRetryAt ?? 0) - clock.now()
      delays.push(Math.round(delay))
      expect(client.status.state).toBe('waiting')
      clock.pass(delay)
    }
    expect(delays).toEqual([250, 1_250, 1_250, 4_250, 8_250, 16_250, 30_250, 30_250, 30_250])
    expect(gateway.sockets).toHaveLength(10)
  })

  it('starts the backoff anew only after ten seconds of uptime', async () => {
    const { client } = await connectLive()
    gateway.socket.end()
    clock.pass(1_000)
    await clock.settle()
    clock.pass(5_000)
    expect(client.status.attempt).toBe(1)
    clock.pass(6_000)
    expect(client.status.attempt).toBe(0)
  })

  it('does not take a socket on which nothing ever arrives for stable', async () => {
    gateway.answers = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    const attempts: number[] = []
    for (let count = 0; count < 3; count++) {
      clock.pass(30_000)
      attempts.push(client.status.attempt)
    }
    expect(attempts).toEqual([...attempts].sort())
    expect(attempts.at(-1)).toBeGreaterThan(1)
  })

  it('gives up a connection attempt after ten seconds', async () => {
    gateway.accepts = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    clock.pass(11_000)
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'no answer' })
    expect(gateway.socket.onopen).toBeNull()
  })

  it('resubscribes with the last sequence numbers and resumes without a snapshot', async () => {
    const { client, updates } = await connectLive()
    gateway.tick({ BTC: { last: 101 } })
    const seen = updates.length
    gateway.socket.end(1001)
    clock.pass(1_000)
    await clock.settle()
    expect(gateway.socket.asked('subscribe')).toMatchObject([{ since: { market: 101 } }])
    expect(updates).toHaveLength(seen)
    expect(client.status.state).toBe('live')
  })

  it('gets what it missed while it was away', async () => {
    const { updates } = await connectLive()
    gateway.socket.end()
    gateway.tick({ BTC: { last: 107 } }, { lost: true })
    clock.pass(1_000)
    await clock.settle()
    expect(updates.at(-2)).toMatchObject({ symbol: 'BTC', data: { last: 107 } })
    expect(gateway.socket.asked('snapshot')).toHaveLength(0)
  })

  it('makes a subscription again that was not answered in ten seconds', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    client.connectSignals(() => undefined)
    await clock.settle()
    clock.pass(6_000)
    gateway.tick({})
    clock.pass(6_000)
    expect(gateway.socket.asked('subscribe').map((request) => request['streams'])).toEqual([
      ['market'],
      ['signals'],
      ['signals'],
    ])
  })

  it('makes a refused subscription again after retry_after_ms', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    client.connectSignals(() => undefined)
    await clock.settle()
    const refused = gateway.socket.requests.at(-1)
    gateway.refuse(gateway.socket, refused?.id ?? '', 'unavailable', { retryable: true, retry_after_ms: 3_000 })
    clock.pass(2_900)
    expect(gateway.socket.asked('subscribe')).toHaveLength(2)
    clock.pass(1_100)
    expect(gateway.socket.asked('subscribe')).toHaveLength(3)
  })

  it('keeps away as long as the server asks with retry_after_ms', async () => {
    const { client } = await connectLive()
    gateway.refuse(gateway.socket, null, 'rate_limited', { retryable: true, retry_after_ms: 20_000 })
    gateway.socket.end()
    expect(client.status.nextRetryAt).toBe(START + 20_000)
  })

  it('follows everything when the server does not know one of the symbols, and says so', async () => {
    const client = connect()
    const errors = record(client, 'error')
    const symbols: string[] = []
    gateway.answers = false
    client.connectMarket(({ symbol }) => symbols.push(symbol), { symbols: ['BTC', 'NOPE'] })
    await clock.settle()
    gateway.answers = true
    gateway.refuse(gateway.socket, gateway.socket.requests[0]?.id ?? '', 'unknown_symbol')
    expect(errors).toMatchObject([{ code: 'unknown_symbol' }])
    expect(gateway.socket.asked('subscribe')[1]).not.toHaveProperty('symbols')
    await clock.settle()
    expect(symbols).toEqual(['BTC'])
  })

  it('does not repeat a subscription that the server will never accept', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    client.connectSignals(() => undefined)
    await clock.settle()
    gateway.refuse(gateway.socket, gateway.socket.requests.at(-1)?.id ?? '', 'unknown_stream')
    pass(30)
    expect(gateway.socket.asked('subscribe')).toHaveLength(2)
  })

  it.each(['unauthorized', 'forbidden'])('fails on %s instead of trying for ever, until retry', async (code) => {
    const { client } = await connectLive()
    gateway.refuse(gateway.socket, null, code)
    expect(client.status).toMatchObject({ state: 'failed', reason: code })
    clock.pass(120_000)
    expect(gateway.sockets).toHaveLength(1)
    await expect(client.request({ action: 'votes' })).rejects.toMatchObject({ code: 'unavailable' })
    client.retry()
    await clock.settle()
    expect(client.status.state).toBe('live')
  })

  it('fails when the address is none', async () => {
    const client = connect({
      WebSocket: function refuse() {
        throw new SyntaxError('invalid URL')
      } as never,
    })
    client.connectMarket(() => undefined)
    await clock.settle()
    expect(client.status).toMatchObject({ state: 'failed', reason: 'SyntaxError: invalid URL' })
  })

  it('tries at once when it is told to', async () => {
    const { client } = await connectLive()
    gateway.socket.end()
    client.retry()
    await clock.settle()
    expect(client.status.state).toBe('live')
    clock.pass(60_000)
    expect(gateway.sockets.filter((socket) => socket.readyState === 1)).toHaveLength(1)
  })
})

describe('the watchdog', () => {
  it('sends no ping while any frame arrives', async () => {
    await connectLive()
    pass(120)
    expect(gateway.socket.asked('ping')).toHaveLength(0)
  })

  it('pings once after 15 seconds of silence and measures the round trip', async () => {
    const { client } = await connectLive()
    const latencies = record(client, 'latency')
    clock.pass(17_000)
    expect(gateway.socket.asked('ping')).toHaveLength(1)
    expect(latencies).toEqual([0])
    expect(client.status.state).toBe('live')
  })

  it('waits for three periods of the fastest stream before it pings', async () => {
    const client = connect()
    client.connectSignals(() => undefined)
    await clock.settle()
    clock.pass(89_000)
    expect(gateway.socket.asked('ping')).toHaveLength(0)
    clock.pass(3_000)
    expect(gateway.socket.asked('ping')).toHaveLength(1)
  })

  it('goes stale while a ping stays unanswered, and live again with any frame', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    clock.pass(19_000)
    expect(client.status.state).toBe('stale')
    gateway.tick({})
    expect(client.status.state).toBe('live')
    clock.pass(10_000)
    expect(gateway.sockets).toHaveLength(1)
  })

  it('detaches and replaces a dead socket without waiting for its close', async () => {
    const { client, updates } = await connectLive()
    const [dead] = gateway.sockets
    gateway.answers = false
    clock.pass(21_200)
    expect(dead?.onmessage).toBeNull()
    gateway.answers = true
    clock.pass(1_000)
    await clock.settle()
    expect(gateway.sockets).toHaveLength(2)
    expect(client.status.state).toBe('live')
    const seen = updates.length
    dead?.end()
    dead?.say({ type: 'market_batch', seq: 999, prev: 100, ts: START, updates: [] })
    expect(client.status).toMatchObject({ state: 'live', seq: { market: 100 } })
    expect(updates).toHaveLength(seen)
  })

  it('notices that the machine slept and probes at once', async () => {
    await connectLive()
    clock.sleep(9_000)
    expect(gateway.socket.asked('ping')).toHaveLength(1)
  })

  it('does not take a throttled background page for sleep while frames arrive', async () => {
    await connectLive()
    clock.sleep(6_000)
    gateway.socket.requests.length = 0
    for (let count = 0; count < 5; count++) {
      gateway.tick({})
      clock.sleep(4_000)
      gateway.tick({})
      clock.sleep(2_000)
    }
    expect(gateway.socket.asked('ping')).toHaveLength(0)
  })
})

describe('the page', () => {
  it('probes when the page is shown again', async () => {
    await connectLive()
    page.hide()
    clock.pass(4_000)
    page.show()
    expect(gateway.socket.asked('ping')).toHaveLength(1)
  })

  it.each(['online', 'offline'])('probes when the browser says %s, for the network may be another one', async (event) => {
    const { client } = await connectLive()
    clock.pass(4_000)
    page.tell(event)
    expect(gateway.socket.asked('ping')).toHaveLength(1)
    expect(client.status.state).toBe('live')
  })

  it('is offline when a connection is lost and the browser has no network, and returns with it', async () => {
    const { client } = await connectLive()
    page.navigator.onLine = false
    gateway.socket.end()
    expect(client.status.state).toBe('offline')
    page.navigator.onLine = true
    page.tell('online')
    await clock.settle()
    expect(client.status.state).toBe('live')
    clock.pass(30_000)
    expect(gateway.sockets).toHaveLength(2)
  })

  it('turns from waiting to offline when the browser says so', async () => {
    const { client } = await connectLive()
    gateway.socket.end()
    page.tell('offline')
    expect(client.status.state).toBe('offline')
  })

  it('reconnects at once when the page is shown while it waits', async () => {
    const { client } = await connectLive()
    gateway.socket.end()
    page.show()
    await clock.settle()
    expect(client.status.state).toBe('live')
  })

  it('lets the page into the back/forward cache and comes back with it', async () => {
    const { client } = await connectLive()
    page.tell('pagehide', { persisted: true })
    expect(gateway.socket.closedWith).toBe(1000)
    expect(client.status.state).toBe('idle')
    page.tell('pageshow', { persisted: true })
    await clock.settle()
    expect(client.status.state).toBe('live')
    expect(gateway.socket.asked('subscribe')).toMatchObject([{ since: { market: 100 } }])
  })

  it('suspends a page hidden for long, if it may, and resubscribes on return', async () => {
    const { client } = await connectLive({ suspendAfter: 300_000 })
    page.hide()
    pass(299)
    expect(client.status.state).toBe('live')
    pass(5)
    expect(client.status.state).toBe('idle')
    page.show()
    await clock.settle()
    expect(client.status.state).toBe('live')
  })

  it('suspends after five minutes under Save-Data, and never without being told', async () => {
    page.navigator.connection.saveData = true
    const { client } = await connectLive()
    page.hide()
    pass(310)
    expect(client.status.state).toBe('idle')
    page.navigator.connection.saveData = false
    page.show()
    await clock.settle()
    page.hide()
    pass(3_600)
    expect(client.status.state).toBe('live')
  })
})

describe('rotation', () => {
  const DUE = 6_900_000 * 0.95

  it('opens a successor before the allowed age, subscribes with since, then retires the old socket', async () => {
    const { client } = await connectLive()
    const states = record(client, 'state')
    pass(DUE / 1_000 - 2)
    expect(gateway.sockets).toHaveLength(1)
    pass(3)
    const [old, successor] = gateway.sockets
    expect(successor?.asked('subscribe')).toMatchObject([{ since: { market: gateway.seq } }])
    expect(old?.closedWith).toBeUndefined()
    pass(4)
    expect(old?.closedWith).toBe(1000)
    expect(states).toEqual([])
  })

  it('spreads the rotations of clients that came together', async () => {
    const ages: number[] = []
    for (chance of [0, 0.999_999]) {
      gateway = new FakeGateway(clock)
      gateway.maxAge = 100_000
      const since = clock.now()
      const { client } = await connectLive()
      while (gateway.sockets.length === 1) pass(1)
      ages.push(clock.now() - since)
      client.disconnectAll()
    }
    expect(ages).toEqual([91_000, 99_000])
  })

  it('misses no tick and shows none twice while both sockets are open', async () => {
    gateway.maxAge = 15_000
    const { client } = await connectLive()
    const seqs: number[] = []
    client.on('batch', ({ seq }) => seqs.push(seq))
    const gaps = record(client, 'gap')
    for (let count = 0; count < 60; count++) {
      clock.pass(1_000)
      await clock.settle()
      gateway.tick({ BTC: { last: count } })
    }
    expect(gateway.sockets.length).toBeGreaterThan(3)
    expect(seqs).toEqual(Array.from({ length: 60 }, (_, index) => 101 + index))
    expect(gaps).toEqual([])
    clock.pass(3_000)
    expect(gateway.sockets.filter((socket) => socket.readyState === 1)).toHaveLength(1)
  })

  it('keeps the old socket when the successor does not come, and tries again', async () => {
    gateway.maxAge = 100_000
    const { client } = await connectLive()
    gateway.accepts = false
    pass(96)
    expect(gateway.sockets).toHaveLength(2)
    pass(11)
    expect(client.status.state).toBe('live')
    gateway.accepts = true
    pass(25)
    await clock.settle()
    pass(5)
    expect(gateway.sockets).toHaveLength(3)
    expect(gateway.sockets[0]?.closedWith).toBe(1000)
    expect(client.status.state).toBe('live')
  })

  it('lets the successor take over when the old socket ends first', async () => {
    gateway.maxAge = 100_000
    gateway.answers = true
    const { client } = await connectLive()
    gateway.accepts = false
    pass(96)
    gateway.sockets[0]?.end(1001)
    expect(client.status.state).toBe('connecting')
    gateway.socket.open()
    clock.pass(5_000)
    expect(client.status.state).toBe('live')
    expect(gateway.sockets).toHaveLength(2)
  })
})
