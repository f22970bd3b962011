/** What may happen in the wrong order, in the wrong place, or twice. */

import { describe, expect, it, vi } from 'vitest'

import { beginAnew, clock, connect, connectLive, gateway, page } from '../../tests/client'
import { quote, START } from '../../tests/fakes'
import type { MarketUpdate, SignalUpdate } from '../protocol'

beginAnew()

/** The present socket is lost, and the next one opens. */
async function reconnect(): Promise<void> {
  gateway.socket.end()
  clock.pass(2_000)
  await clock.settle()
}

const open = (): number => gateway.sockets.filter((socket) => socket.readyState === 1).length

describe('a handler that ends everything', () => {
  it('hears nothing of the message in which it did so, and keeps none of its values', async () => {
    const client = connect()
    const batches: number[] = []
    client.on('batch', ({ seq }) => batches.push(seq))
    client.on('message', () => {
      client.disconnectAll()
    })
    client.connectMarket(() => undefined)
    await clock.settle()
    expect(client.status).toMatchObject({ state: 'closed', seq: { market: 0 } })
    expect(batches).toEqual([])
    const late: MarketUpdate[] = []
    gateway.answers = false
    client.connectMarket((update) => late.push(update))
    await clock.settle()
    expect(late).toEqual([])
  })

  it('may do so when the connection becomes live', async () => {
    const client = connect()
    client.on('state', ({ state }) => {
      if (state === 'live') client.disconnectAll()
    })
    client.connectMarket(() => undefined)
    await clock.settle()
    expect(client.status).toMatchObject({ state: 'closed', seq: { market: 0 } })
    expect(clock.timers + page.listening + open()).toBe(0)
  })

  it('may do so in a callback, and start anew there', async () => {
    const client = connect()
    const second: string[] = []
    const first: string[] = []
    client.connectMarket(({ symbol }) => {
      first.push(symbol)
      client.disconnectAll()
      client.connectMarket((update) => second.push(update.symbol))
    })
    await clock.settle()
    expect(first).toEqual(['BTC'])
    expect(new Set(second)).toEqual(new Set(['BTC', 'ETH']))
    expect(client.status.state).toBe('live')
    expect(open()).toBe(1)
  })

  it('may end another listener, which then is not called any more', async () => {
    const client = connect()
    const others: string[] = []
    const stops: (() => void)[] = []
    client.connectMarket(() => {
      stops.forEach((stop) => {
        stop()
      })
    })
    stops.push(client.connectMarket(({ symbol }) => others.push(symbol)))
    await clock.settle()
    expect(others).toEqual([])
  })
})

describe('listeners that come and go', () => {
  it('gives one that comes inside a callback every value once', async () => {
    const client = connect()
    const seen: string[] = []
    let added = false
    client.connectMarket(() => {
      if (!added) client.connectMarket(({ symbol }) => seen.push(symbol))
      added = true
    })
    await clock.settle()
    expect(seen).toEqual(['BTC', 'ETH'])
  })

  it('keeps the socket of two when one leaves, and opens none for one that left at once', async () => {
    const client = connect()
    client.connectMarket(() => undefined)()
    await clock.settle()
    expect(gateway.sockets).toHaveLength(0)
    const stop = client.connectMarket(() => undefined)
    client.connectMarket(() => undefined)
    stop()
    await clock.settle()
    clock.pass(20_000)
    expect(client.status.state).toBe('live')
    expect(gateway.sockets).toHaveLength(1)
  })

  it('lets go of an AbortSignal when all is disconnected', () => {
    const client = connect()
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    client.connectMarket(() => undefined, { signal })
    client.disconnectAll()
    expect(added).toHaveBeenCalledOnce()
    expect(removed.mock.calls).toEqual(added.mock.calls)
  })

  it('asks for its own symbols again after a refused list and disconnectAll', async () => {
    gateway.answers = false
    const client = connect()
    client.connectMarket(() => undefined, { symbols: ['NOPE'] })
    await clock.settle()
    gateway.refuse(gateway.socket, gateway.socket.requests[0]?.id ?? '', 'unknown_symbol')
    client.disconnectAll()
    client.connectMarket(() => undefined, { symbols: ['BTC'] })
    await clock.settle()
    expect(gateway.socket.asked('subscribe')).toMatchObject([{ symbols: ['BTC'] }])
  })

  it('waits for the slower stream before it pings once the faster one has nobody left', async () => {
    const client = connect()
    const stop = client.connectMarket(() => undefined)
    client.connectSignals(() => undefined)
    await clock.settle()
    stop()
    clock.pass(6_000)
    gateway.tick({}, { stream: 'signals' })
    clock.pass(80_000)
    expect(gateway.socket.asked('ping')).toHaveLength(0)
  })
})

describe('values', () => {
  it('forgets what a whole quote does not say any more', async () => {
    const { updates } = await connectLive()
    gateway.tick({ BTC: { ...quote(101), proxy: true } })
    expect(updates.at(-1)?.data).toHaveProperty('proxy', true)
    gateway.tick({ BTC: { last: 102 } })
    expect(updates.at(-1)?.data).toMatchObject({ last: 102, proxy: true })
    gateway.tick({ BTC: { ...quote(103) } })
    expect(updates.at(-1)?.data).toEqual(quote(103))
  })

  it('replaces a rating, which always comes whole', async () => {
    gateway.data = { BTC: { rating: null, label: null, reason: 'too_few_candles' } }
    const client = connect()
    const ratings: SignalUpdate['data'][] = []
    client.connectSignals(({ data }) => ratings.push(data))
    await clock.settle()
    gateway.tick({ BTC: { rating: 0.3, label: 'BUY' } }, { stream: 'signals' })
    expect(ratings.at(-1)).toEqual({ rating: 0.3, label: 'BUY' })
  })

  it('takes each part of a batch once, although two sockets bring it during a rotation', async () => {
    gateway.maxAge = 15_000
    const { updates } = await connectLive()
    const before = updates.length
    while (gateway.sockets.length < 2) clock.pass(1_000)
    await clock.settle()
    expect(open()).toBe(2)
    const message = { type: 'market_batch', seq: 101, prev: 100, ts: START, parts: 2 }
    for (const [part, symbol] of [[1, 'BTC'], [2, 'ETH']] as const) {
      for (const socket of gateway.sockets) {
        socket.say({ ...message, part, updates: [{ symbol, data: { last: 7 } }] })
      }
    }
    expect(updates.slice(before).map(({ symbol }) => symbol)).toEqual(['BTC', 'ETH'])
  })

  it('resumes from no batch of which it has seen a part only', async () => {
    await connectLive()
    const message = { type: 'market_batch', seq: 101, prev: 100, ts: START, part: 1, parts: 2 }
    gateway.seq = 101
    gateway.socket.say({ ...message, updates: [{ symbol: 'BTC', data: { last: 7 } }] })
    await reconnect()
    expect(gateway.socket.asked('subscribe')[0]).not.toHaveProperty('since')
  })

  it('asks for a snapshot again when its socket was lost before the answer', async () => {
    const { updates } = await connectLive()
    gateway.answers = false
    gateway.tick({ ETH: { last: 12 } }, { lost: true })
    gateway.tick({})
    expect(gateway.socket.asked('snapshot')).toHaveLength(1)
    gateway.answers = true
    await reconnect()
    clock.pass(6_000)
    expect(updates.filter(({ symbol }) => symbol === 'ETH').at(-1)?.data.last).toBe(12)
  })

  it('asks for a snapshot again when no answer came', async () => {
    const { updates } = await connectLive()
    gateway.answers = false
    gateway.tick({ ETH: { last: 12 } }, { lost: true })
    gateway.tick({})
    gateway.answers = true
    for (let second = 0; second < 20; second++) {
      clock.pass(1_000)
      if (second % 5 === 4) gateway.tick({})
    }
    expect(updates.filter(({ symbol }) => symbol === 'ETH').at(-1)?.data.last).toBe(12)
  })
})

describe('answers', () => {
  it.each([
    ['ping', 'pong'],
    ['snapshot', 'snapshot'],
  ])('settles a %s that the page has asked for', async (action, type) => {
    const { client } = await connectLive()
    const answer = client.request({ action, stream: 'market' })
    clock.pass(0)
    await expect(answer).resolves.toMatchObject({ type })
  })

  it('rejects one request that is forbidden, and goes on', async () => {
    const { client } = await connectLive()
    gateway.answers = false
    const answer = client.request({ action: 'candles', symbol: 'BTC', timeframe: '1h' })
    gateway.refuse(gateway.socket, gateway.socket.asked('candles')[0]?.id ?? '', 'forbidden')
    await expect(answer).rejects.toMatchObject({ code: 'forbidden' })
    expect(client.status.state).toBe('live')
  })

  it('fails when the subscription itself is forbidden, and tries again only when it is told to', async () => {
    gateway.answers = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    gateway.refuse(gateway.socket, gateway.socket.requests[0]?.id ?? '', 'forbidden')
    expect(client.status).toMatchObject({ state: 'failed', reason: 'forbidden' })
    page.show()
    page.tell('online')
    client.connectSignals(() => undefined)
    await clock.settle()
    clock.pass(60_000)
    expect(gateway.sockets).toHaveLength(1)
    gateway.answers = true
    client.retry()
    await clock.settle()
    expect(client.status.state).toBe('live')
  })

  it('does not come back before the time that the server asked for, whatever the page tells', async () => {
    const { client } = await connectLive()
    gateway.refuse(gateway.socket, null, 'rate_limited', { retryable: true, retry_after_ms: 60_000 })
    gateway.socket.end()
    page.tell('online')
    page.hide()
    page.show()
    clock.pass(55_000)
    expect(gateway.sockets).toHaveLength(1)
    clock.pass(6_000)
    await clock.settle()
    expect(client.status.state).toBe('live')
  })
})

describe('rotation', () => {
  it('is live when the successor takes over from a socket that had gone stale', async () => {
    gateway.maxAge = 20_000
    const { client } = await connectLive()
    gateway.answers = false
    clock.pass(18_500)
    expect(client.status.state).toBe('stale')
    gateway.answers = true
    clock.pass(1_500)
    await clock.settle()
    expect(gateway.sockets).toHaveLength(2)
    expect(client.status.state).toBe('live')
  })

  it('leaves no socket behind when everything is disconnected in the middle of it', async () => {
    gateway.maxAge = 15_000
    const { client } = await connectLive()
    while (gateway.sockets.length < 2) clock.pass(500)
    client.disconnectAll()
    await clock.settle()
    expect(gateway.sockets.map((socket) => socket.closedWith)).toEqual([1000, 1000])
    expect(clock.timers + page.listening).toBe(0)
  })

  it('leaves no socket behind when the page goes into the back/forward cache in the middle of it', async () => {
    gateway.maxAge = 15_000
    const { client } = await connectLive()
    while (gateway.sockets.length < 2) clock.pass(500)
    page.tell('pagehide', { persisted: true })
    expect(open()).toBe(0)
    page.show()
    page.tell('pageshow', { persisted: true })
    await clock.settle()
    expect(client.status.state).toBe('live')
    expect(open()).toBe(1)
  })

  it('opens one socket only when page, network and reader ask for it at once', async () => {
    const { client } = await connectLive()
    gateway.socket.end()
    page.tell('online')
    page.show()
    client.retry()
    page.tell('pageshow', { persisted: true })
    await clock.settle()
    clock.pass(5_000)
    expect(gateway.sockets).toHaveLength(2)
    expect(open()).toBe(1)
  })
})
