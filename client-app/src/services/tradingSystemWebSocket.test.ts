import { describe, expect, it, vi } from 'vitest'

import { beginAnew, clock, connect, connectLive, gateway, page } from '../../tests/client'
import { quote, START } from '../../tests/fakes'
import type { MarketUpdate } from '../protocol'
import shared, { TradingSystemWebSocket } from './tradingSystemWebSocket'

beginAnew()

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
