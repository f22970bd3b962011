import { describe, expect, it } from 'vitest'

import { beginAnew, clock, connect, connectLive, draw, gateway, page, pass, record, replaceGateway } from '../../tests/client'
import { START } from '../../tests/fakes'

beginAnew()

describe('reconnection', () => {
  it('waits with full jitter between a floor and a doubling cap', async () => {
    gateway.accepts = false
    const client = connect()
    client.connectMarket(() => undefined)
    await clock.settle()
    const delays: number[] = []
    for (const chance of [0, 0.999_999, 0.5, 1, 1, 1, 1, 1, 1]) {
      draw(chance)
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
    for (const chance of [0, 0.999_999]) {
      draw(chance)
      replaceGateway()
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
