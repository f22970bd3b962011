import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { watchEffect } from 'vue'

import { quote } from '../../tests/fakes'
import { closePage, openPage, type TestPage } from '../../tests/page'
import { useMarketStore } from './market'

let page: TestPage
let market: ReturnType<typeof useMarketStore>

beforeEach(async () => {
  page = openPage()
  market = useMarketStore()
  market.connect()
  await page.pass(0)
  page.frame()
})
afterEach(closePage)

const last = (symbol: string): number | null | undefined => market.row(symbol)?.value.last

describe('the market store', () => {
  it('knows every instrument of the snapshot, in the order of the server', () => {
    expect(market.symbols).toEqual(['BTC', 'ETH'])
    expect(market.row('BTC')?.value).toMatchObject({ name: 'BTC', class: 'crypto', decimals: 2, last: 100, flash: '' })
  })

  it('writes once a frame, the latest of each instrument only', () => {
    for (const price of [101, 102, 103]) page.gateway.tick({ BTC: { last: price } })
    expect(last('BTC')).toBe(100)
    expect(page.frame()).toBe(1)
    expect(last('BTC')).toBe(103)
    expect(page.frame()).toBe(0)
  })

  it('catches up after frames have stopped, as in a hidden page', () => {
    for (let price = 101; price < 200; price++) page.gateway.tick({ BTC: { last: price } })
    page.frame()
    expect(last('BTC')).toBe(199)
  })

  it('tells only those who look at an instrument that changed', () => {
    const runs = { BTC: 0, ETH: 0 }
    watchEffect(() => (market.row('BTC')?.value, runs.BTC++), { flush: 'sync' })
    watchEffect(() => (market.row('ETH')?.value, runs.ETH++), { flush: 'sync' })
    page.gateway.tick({ BTC: { last: 101 } })
    page.frame()
    expect(runs).toEqual({ BTC: 2, ETH: 1 })
  })

  it('pulses up on a rise and down on a fall, under a new name each time', async () => {
    const flashes: (string | undefined)[] = []
    for (const price of [101, 102, 101, 100]) {
      await page.pass(1_000)
      page.gateway.tick({ BTC: { last: price } })
      page.frame()
      flashes.push(market.row('BTC')?.value.flash)
    }
    expect(flashes).toEqual(['up-a', 'up-b', 'down-a', 'down-b'])
    expect(market.row('BTC')?.value.direction).toBe(-1)
  })

  it('pulses at most once a second', async () => {
    await page.pass(1_000)
    const flashes = new Set<string | undefined>()
    for (const price of [101, 102, 103, 104, 105]) {
      page.gateway.tick({ BTC: { last: price } })
      page.frame()
      flashes.add(market.row('BTC')?.value.flash)
      await page.pass(190)
    }
    expect([...flashes]).toEqual(['up-a'])
    expect(last('BTC')).toBe(105)
  })

  it('does not pulse when the price stands', async () => {
    await page.pass(1_000)
    page.gateway.tick({ BTC: { bid: 98 } })
    page.frame()
    expect(market.row('BTC')?.value).toMatchObject({ bid: 98, flash: '', direction: 0 })
  })

  it('remembers prices for the line at most once a second, and not for ever', async () => {
    for (let count = 0; count < 400; count++) {
      page.gateway.tick({ BTC: { last: 100 + count } })
      page.frame()
      await page.pass(500)
    }
    const trend = market.row('BTC')?.value.trend ?? []
    expect(trend).toHaveLength(90)
    expect((trend.at(-1) ?? 0) - (trend.at(-2) ?? 0)).toBe(2)
  }, 10_000)

  it('shows nothing new while it is paused, and the latest when it resumes', () => {
    market.pause()
    page.gateway.tick({ BTC: { last: 101 } })
    page.gateway.tick({ BTC: { last: 102 } })
    expect(page.frame()).toBe(0)
    expect(last('BTC')).toBe(100)
    market.resume()
    expect(last('BTC')).toBe(102)
  })

  it('does not write in a frame that was asked for before the pause', () => {
    page.gateway.tick({ BTC: { last: 101 } })
    market.pause()
    page.frame()
    expect(last('BTC')).toBe(100)
    market.resume()
    expect(last('BTC')).toBe(101)
  })

  it('says which sources are unreal, as soon as one is and no longer than that', async () => {
    expect(market.unreal).toEqual([])
    page.gateway.tick({ BTC: { last: 101, source: 'simulated' } })
    page.frame()
    await page.pass(0)
    expect(market.unreal).toEqual(['simulated'])
    page.gateway.tick({ BTC: { last: 101, source: 'kraken' } })
    page.frame()
    await page.pass(0)
    expect(market.unreal).toEqual([])
    expect([...market.sources].sort()).toEqual(['binance', 'kraken'])
  })

  it('takes up instruments that come later', () => {
    page.gateway.tick({ XAU: { ...quote(2_400) } })
    page.frame()
    expect(market.symbols).toEqual(['BTC', 'ETH', 'XAU'])
    expect(market.row('XAU')?.value).toMatchObject({ name: 'XAU', class: 'other' })
  })

  it('takes up the name and class of an instrument whose quote came first', () => {
    page.gateway.tick({ XAU: { ...quote(2_400) } })
    page.frame()
    const named = { symbol: 'XAU', name: 'Gold', class: 'metal', decimals: 2 }
    const snapshot = page.gateway.snapshot(['XAU'])
    page.gateway.socket.say({ type: 'snapshot', id: null, ...snapshot, instruments: [named] })
    page.frame()
    expect(market.row('XAU')?.value).toMatchObject({ name: 'Gold', class: 'metal' })
    expect([...market.classes]).toEqual([['crypto', 2], ['metal', 1]])
  })

  it('counts instruments by class', () => {
    expect([...market.classes]).toEqual([['crypto', 2]])
  })

  it('lets go of the socket when it disconnects', async () => {
    market.disconnect()
    await page.pass(6_000)
    expect(page.client.status.state).toBe('idle')
  })
})
