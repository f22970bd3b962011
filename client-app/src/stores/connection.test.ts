import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { closePage, openPage, type TestPage } from '../../tests/page'
import { useConnectionStore } from './connection'
import { useMarketStore } from './market'

let page: TestPage
let connection: ReturnType<typeof useConnectionStore>

beforeEach(async () => {
  page = openPage()
  connection = useConnectionStore()
  useMarketStore().connect()
  await page.pass(0)
})
afterEach(closePage)

describe('the connection store', () => {
  it('follows the state of the client', () => {
    expect(connection.status.state).toBe('live')
    page.gateway.socket.end()
    expect(connection.status).toMatchObject({ state: 'waiting', reason: 'closed with 1006' })
  })

  it('tries again when it is told to', async () => {
    page.gateway.socket.end()
    connection.retry()
    await page.pass(0)
    expect(connection.status.state).toBe('live')
  })

  it("shows the server's trouble for a while, but not what a single request was refused for", async () => {
    page.gateway.refuse(page.gateway.socket, null, 'unknown_action')
    expect(connection.trouble).toBeNull()
    page.gateway.socket.say({ message: 'Internal server error', connectionId: 'a', requestId: 'b' })
    expect(connection.trouble).toMatchObject({ code: 'internal', message: 'Internal server error' })
    await page.pass(16_000)
    expect(connection.trouble).toBeNull()
  })

  it('forgets the trouble as soon as a subscription is answered', async () => {
    page.gateway.socket.say({ message: 'Internal server error', connectionId: 'a', requestId: 'b' })
    expect(connection.trouble).not.toBeNull()
    page.gateway.socket.end()
    await page.pass(2_000)
    expect(connection.status.state).toBe('live')
    expect(connection.trouble).toBeNull()
  })

  it('counts down to the next try', async () => {
    page.gateway.accepts = false
    for (let count = 0; count < 3; count++) {
      page.gateway.socket.end()
      await page.pass(connection.status.nextRetryAt! - page.clock.now())
    }
    page.gateway.socket.end()
    const before = connection.retryIn!
    await page.pass(1_000)
    expect(before - connection.retryIn!).toBe(1_000)
  })

  it('averages messages and bytes over ten seconds and knows the age of the last one', async () => {
    await page.pass(20_000)
    page.gateway.tick({})
    page.gateway.tick({})
    await page.pass(1_000)
    expect(connection.rates.messages).toBeCloseTo(0.2)
    expect(connection.rates.bytes).toBeGreaterThan(10)
    expect(connection.silence).toBe(1_000)
    await page.pass(10_000)
    expect(connection.rates.messages).toBeLessThan(0.2)
  })

  it('says since when a server that answers has sent no prices', async () => {
    const since = page.clock.now()
    for (let second = 0; second < 74; second++) await page.pass(1_000)
    expect(connection.status.state).toBe('live')
    expect(connection.lateSince).toBeNull()
    await page.pass(2_000)
    expect(connection.lateSince).toBe(since)
    page.gateway.tick({})
    await page.pass(1_000)
    expect(connection.lateSince).toBeNull()
  })

  it('lists what ails until it is well again', () => {
    const say = (state: string): void => {
      page.gateway.socket.say({ type: 'status', component: 'provider.kraken', state, since: 1 })
    }
    say('down')
    expect(connection.ailing).toMatchObject([{ component: 'provider.kraken', state: 'down' }])
    say('ok')
    expect(connection.ailing).toEqual([])
  })
})
