import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nextTick } from 'vue'

import { closePage, openPage, type TestPage } from '../../tests/page'
import AnalysisView from './AnalysisView.vue'

let page: TestPage
let root: HTMLElement

const horizon = (h: string, call: number | null, label: string | null) => ({
  h,
  call,
  put: call === null ? null : 1 - call,
  label,
})
const counts = { ma: { buy: 1, neutral: 2, sell: 12 }, osc: { buy: 3, neutral: 4, sell: 4 } }

async function show(signals: Record<string, unknown>, binary: Record<string, unknown>): Promise<void> {
  page.app.mount(root)
  await page.pass(0)
  const type = (stream: string, data: object): object => ({ type: 'snapshot', ...page.gateway.snapshot([], stream), data })
  page.gateway.socket.say(type('signals', signals))
  page.gateway.socket.say(type('binary', binary))
  page.frame()
  await nextTick()
}

const text = (selector: string): string[] =>
  [...root.querySelectorAll(selector)].map((each) => each.textContent.replace(/\s+/g, ' ').trim())

beforeEach(() => {
  page = openPage(AnalysisView)
  page.gateway.data = {}
  root = document.createElement('div')
  document.body.append(root)
})
afterEach(() => {
  page.app.unmount()
  root.remove()
  closePage()
})

describe('the analysis view', () => {
  it('says that nothing has arrived yet', async () => {
    await show({}, {})
    expect(text('.empty')).toHaveLength(2)
  })

  it('shows the mean of all crypto first, under a name for people', async () => {
    const horizons = [horizon('1m', 0.505, 'NEUTRAL')]
    await show({}, { BTC: { horizons }, ETH: { horizons }, EURUSD: { horizons, market: 'open' }, MARKET: { horizons } })
    expect(text('li b')).toEqual(['Crypto', 'BTC', 'ETH', 'EURUSD'])
    expect(text('li .of')).toEqual(['mean of 2'])
  })

  it('says why there is no sentiment in the place of the shares', async () => {
    const nothing = { horizons: [horizon('1m', null, null)], source: null }
    await show(
      {},
      {
        EURUSD: { ...nothing, market: 'closed', reason: 'closed' },
        XAG: { ...nothing, market: 'open', reason: 'no_data' },
        XPT: { ...nothing, market: 'open', reason: 'something_new' },
        BTC: { horizons: [horizon('1m', 0.505, 'NEUTRAL')] },
      },
    )
    expect(text('li .none')).toEqual(['Market closed', 'Nothing was traded or offered', 'No sentiment'])
    expect(text('.shares > span')).toEqual(['Call 51 %', 'Put 49 %'])
    expect(text('li .badge')).toEqual([])
  })

  it('marks what is of a proxy, and what is of prices', async () => {
    const mids = { ...horizon('1m', 0.52, 'NEUTRAL'), basis: 'mids' }
    await show(
      {},
      {
        XAU: { horizons: [horizon('1m', 0.505, 'NEUTRAL')], market: 'open', proxy: true },
        XAG: { horizons: [horizon('1m', null, null), mids], market: 'open' },
      },
    )
    expect(text('li .badge')).toEqual(['proxy', 'prices'])
  })

  it('shows shares that make up the whole, however they are rounded', async () => {
    await show({}, { BTC: { horizons: [horizon('1m', 0.505, 'NEUTRAL'), horizon('5m', null, null)] } })
    expect(text('.shares > span')).toEqual(['Call 51 %', 'Put 49 %', 'Call –', 'Put –'])
  })

  it('shows label, value and the votes of both groups, and marks a proxy', async () => {
    await show({ XAU: { rating: -0.6, label: 'STRONG_SELL', timeframe: '1h', counts, proxy: true } }, {})
    expect(text('td.label')).toEqual(['Strong sell'])
    expect(text('td.value')).toEqual(['\u22120.60'])
    expect(text('td.count')).toEqual(['4 / 6 / 16'])
    expect(text('tbody .badge')).toEqual(['proxy'])
  })

  it('offers every timeframe that the server rates', async () => {
    const other = { rating: 0.3, label: 'BUY', timeframe: '4h' }
    await show({ BTC: { rating: 0, label: 'NEUTRAL', timeframe: '1h', other_timeframes: [other] } }, {})
    expect(text('.tabs button')).toEqual(['1h', '4h'])
    expect(text('td.label')).toEqual(['Neutral'])
    root.querySelectorAll<HTMLElement>('.tabs button')[1]?.click()
    await nextTick()
    expect(text('td.label')).toEqual(['Buy'])
  })

  it('says why there is no rating, and offers no votes for it', async () => {
    await show({ XAU: { rating: null, label: null, timeframe: '1h', reason: 'too_few_candles' } }, {})
    expect(text('td.none')).toEqual(['Too few candles to rate'])
    expect(root.querySelector('.more button')).toBeNull()
  })
})
