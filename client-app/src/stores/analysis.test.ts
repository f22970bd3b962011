import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { closePage, openPage, type TestPage } from '../../tests/page'
import { useAnalysisStore } from './analysis'

let page: TestPage
let analysis: ReturnType<typeof useAnalysisStore>

beforeEach(() => {
  page = openPage()
  analysis = useAnalysisStore()
})
afterEach(closePage)

describe('the analysis store', () => {
  it('gathers ratings and sentiment and writes them once a frame', async () => {
    page.gateway.data = { BTC: { label: 'BUY', rating: 0.3, horizons: [] } }
    analysis.connect()
    await page.pass(0)
    expect(analysis.rated).toEqual([])
    page.frame()
    expect([analysis.rated, analysis.sensed]).toEqual([['BTC'], ['BTC']])
    page.gateway.tick({ BTC: { label: 'SELL', rating: -0.3 } }, { stream: 'signals' })
    expect(analysis.rating('BTC')?.label).toBe('BUY')
    page.frame()
    expect(analysis.rating('BTC')).toMatchObject({ label: 'SELL', rating: -0.3 })
    expect(analysis.sentiment('BTC')).toMatchObject({ label: 'BUY' })
  })

  it('is empty when the server has nothing', async () => {
    page.gateway.data = {}
    analysis.connect()
    await page.pass(0)
    page.frame()
    expect([analysis.rated, analysis.sensed]).toEqual([[], []])
  })

  it('asks for the votes of one rating', async () => {
    analysis.connect()
    await page.pass(0)
    const votes = analysis.askForVotes('BTC', '1h')
    const [request] = page.gateway.socket.asked('votes')
    expect(request).toMatchObject({ symbol: 'BTC', timeframe: '1h' })
    page.gateway.socket.say({ type: 'votes', id: request?.id, symbol: 'BTC', timeframe: '1h', votes: { RSI: 1 } })
    await expect(votes).resolves.toMatchObject({ votes: { RSI: 1 } })
  })

  it('follows the streams only while somebody looks', async () => {
    analysis.connect()
    analysis.connect()
    await page.pass(0)
    analysis.disconnect()
    await page.pass(6_000)
    expect(page.client.status.state).toBe('idle')
    expect(page.gateway.socket.asked('subscribe')).toHaveLength(2)
  })
})
