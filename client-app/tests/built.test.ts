/** The client as it is published: its internal names are written short, which no test of the sources would notice. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { expect, it } from 'vitest'

import type * as Client from '../src/services/tradingSystemWebSocket'
import { FakeClock, FakeGateway, FakePage } from './fakes'

const BUILT = join(import.meta.dirname, '../dist/client/tradingSystemWebSocket.js')

// `npm run build:client` makes it; `make test` does that first.
it.skipIf(!existsSync(BUILT))('does as a built module what its sources do', async () => {
  const { TradingSystemWebSocket } = (await import(/* @vite-ignore */ pathToFileURL(BUILT).href)) as typeof Client
  const clock = new FakeClock()
  const gateway = new FakeGateway(clock)
  gateway.maxAge = 60_000
  const client = new TradingSystemWebSocket({
    url: 'wss://example/stage',
    WebSocket: gateway.WebSocket,
    clock,
    page: new FakePage(),
    random: () => 0.5,
  })
  const seen: Client.MarketUpdate[] = []
  const last = (name: string): unknown => seen.filter(({ symbol }) => symbol === name).at(-1)?.data.last
  client.connectMarket((update) => seen.push(update))
  const stop = client.connectSignals(() => undefined)
  await clock.settle()
  expect(client.status.state).toBe('live')
  expect(seen).toHaveLength(2)

  gateway.tick({ ETH: { last: 12 } }, { lost: true })
  gateway.tick({ BTC: { last: 101 } })
  clock.pass(0)
  expect([last('BTC'), last('ETH')]).toEqual([101, 12])

  const answer = client.request({ action: 'ping' })
  clock.pass(0)
  await expect(answer).resolves.toMatchObject({ type: 'pong' })
  stop()
  clock.pass(6_000)
  expect(gateway.socket.asked('unsubscribe')).toMatchObject([{ streams: ['signals'] }])

  gateway.socket.end()
  clock.pass(2_000)
  await clock.settle()
  expect(gateway.socket.asked('subscribe')).toMatchObject([{ since: { market: 102 } }])

  while (gateway.sockets.length < 3) clock.pass(1_000)
  await clock.settle()
  clock.pass(3_000)
  expect(gateway.sockets.filter((socket) => socket.readyState === 1)).toHaveLength(1)
  client.disconnectAll()
  expect(client.status.state).toBe('closed')
  expect(clock.timers).toBe(0)
})
