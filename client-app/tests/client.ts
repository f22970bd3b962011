/** A client in a world of its own: what each test of the client begins with. */

import { beforeEach, expect } from 'vitest'

import type { MarketUpdate } from '../src/protocol'
import { type Events, type Options, TradingSystemWebSocket } from '../src/services/tradingSystemWebSocket'
import { FakeClock, FakeGateway, FakePage } from './fakes'

export let clock: FakeClock
export let page: FakePage
export let gateway: FakeGateway
let chance: number

/** Every test of a file begins with a new world. */
export function beginAnew(): void {
  beforeEach(() => {
    clock = new FakeClock()
    page = new FakePage()
    chance = 0.5
    replaceGateway()
  })
}

export function replaceGateway(): void {
  gateway = new FakeGateway(clock)
}

/** What the client's randomness gives from now on. */
export function draw(number: number): void {
  chance = number
}

export const connect = (options: Options = {}): TradingSystemWebSocket =>
  new TradingSystemWebSocket({
    url: 'wss://example/stage',
    WebSocket: gateway.WebSocket,
    clock,
    page,
    random: () => chance,
    ...options,
  })

/** A client that follows the market and has its first snapshot. */
export async function connectLive(
  options: Options = {},
): Promise<{ client: TradingSystemWebSocket; updates: MarketUpdate[] }> {
  const client = connect(options)
  const updates: MarketUpdate[] = []
  client.connectMarket((update) => updates.push(update))
  await clock.settle()
  expect(client.status.state).toBe('live')
  return { client, updates }
}

/** Ticks every five seconds, as from a healthy server. */
export function pass(seconds: number): void {
  for (let second = 1; second <= seconds; second++) {
    clock.pass(1_000)
    if (second % 5 === 0) gateway.tick({})
  }
}

export function record<E extends keyof Events>(client: TradingSystemWebSocket, event: E): Events[E][] {
  const seen: Events[E][] = []
  client.on(event, (value) => seen.push(value))
  return seen
}
