import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { h, nextTick } from 'vue'

import { quote } from '../../tests/fakes'
import { closePage, openPage, type TestPage } from '../../tests/page'
import { useMarketStore } from '../stores/market'
import { usePreferencesStore } from '../stores/preferences'
import PriceTable from './PriceTable.vue'

let page: TestPage
let root: HTMLElement
const opened: string[] = []
const props = { search: '', tab: 'all', selected: undefined as string | undefined }

const rows = (): HTMLElement[] => [...root.querySelectorAll<HTMLElement>('tbody tr')]
const cell = (symbol: string, name: string): HTMLElement => {
  const row = rows().find((each) => each.querySelector(`[data-symbol="${symbol}"]`))
  const found = row?.querySelector<HTMLElement>(`[data-cell="${name}"]`)
  if (!found) throw new Error(`no cell ${name} of ${symbol}`)
  return found
}
const symbols = (): (string | undefined)[] =>
  rows().map((row) => row.querySelector<HTMLElement>('[data-symbol]')?.dataset['symbol'])

beforeEach(async () => {
  Object.assign(props, { search: '', tab: 'all', selected: undefined })
  opened.length = 0
  page = openPage({ render: () => h(PriceTable, { ...props, onOpen: (symbol: string) => opened.push(symbol) }) })
  root = document.createElement('div')
  document.body.append(root)
  page.app.mount(root)
  useMarketStore().connect()
  await page.pass(0)
  page.frame()
  await nextTick()
})
afterEach(() => {
  page.app.unmount()
  root.remove()
  closePage()
})

describe('the price table', () => {
  it('shows every instrument with its own digits', () => {
    expect(symbols()).toEqual(['BTC', 'ETH'])
    expect(cell('BTC', 'last').textContent).toBe('100.00')
    expect(cell('BTC', 'bid').textContent).toBe('99.00')
    expect(cell('BTC', 'change').textContent).toBe('+1.50\u2009%')
    expect(cell('BTC', 'spread').textContent).toBe('200')
  })

  it('changes a price without a reload, with glyph and pulse', async () => {
    await page.pass(1_000)
    page.gateway.tick({ BTC: { last: 101 }, ETH: { last: 9 } })
    page.frame()
    expect(cell('BTC', 'last').textContent).toBe('101.00')
    expect([cell('BTC', 'glyph').textContent, cell('ETH', 'glyph').textContent]).toEqual(['▲', '▼'])
    expect(cell('BTC', 'price').className).toBe('price up-a')
    expect(cell('ETH', 'price').className).toBe('price down-a')
  })

  it('shows a dash for what the source does not have', () => {
    page.gateway.tick({ BTC: { bid: null, ask: null } })
    page.frame()
    expect([cell('BTC', 'bid').textContent, cell('BTC', 'spread').textContent]).toEqual(['–', '–'])
  })

  it('says when a quote is stale and when its market is closed', async () => {
    page.gateway.tick({ BTC: { stale: true }, ETH: { market: 'closed', stale: true } })
    page.frame()
    await nextTick()
    expect(rows().map((row) => row.querySelector('.badge')?.textContent)).toEqual(['stale', 'closed'])
  })

  it('marks a proxy as long as it is one', async () => {
    const marks = (): (string | null | undefined)[] => rows().map((row) => row.querySelector('.badge')?.textContent)
    page.gateway.tick({ BTC: { ...quote(101), proxy: true } })
    page.frame()
    await nextTick()
    expect(marks()).toEqual(['proxy', undefined])
    page.gateway.tick({ BTC: { ...quote(102) } })
    page.frame()
    await nextTick()
    expect(marks()).toEqual([undefined, undefined])
  })

  it('sorts by a column, both ways, and as listed again', async () => {
    const preferences = usePreferencesStore()
    const orders: string[] = []
    for (let count = 0; count < 3; count++) {
      preferences.changeSort('symbol')
      await nextTick()
      orders.push(symbols().join())
    }
    expect(orders).toEqual(['BTC,ETH', 'ETH,BTC', 'BTC,ETH'])
    preferences.changeSort('last')
    await nextTick()
    expect(symbols()).toEqual(['BTC', 'ETH'])
    expect(root.querySelector('th.price')?.getAttribute('aria-sort')).toBe('descending')
  })

  it('opens an instrument by its button', () => {
    root.querySelector<HTMLElement>('[data-symbol="ETH"]')?.click()
    expect(opened).toEqual(['ETH'])
  })

  it('goes from row to row with the arrow keys and keeps a favourite with f', () => {
    const first = root.querySelector<HTMLElement>('[data-symbol="BTC"]')
    first?.focus()
    const press = (key: string): void => {
      document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
    }
    press('ArrowDown')
    expect((document.activeElement as HTMLElement).dataset['symbol']).toBe('ETH')
    press('f')
    expect([...usePreferencesStore().favourites]).toEqual(['ETH'])
    press('Home')
    expect(document.activeElement).toBe(first)
  })

  it('does not move rows under the pointer', async () => {
    usePreferencesStore().changeSort('last')
    await nextTick()
    root.querySelector('tbody')?.dispatchEvent(new Event('pointerenter'))
    page.gateway.tick({ ETH: { ...quote(5_000) } })
    page.frame()
    await page.pass(3_000)
    expect(symbols()).toEqual(['BTC', 'ETH'])
    root.querySelector('tbody')?.dispatchEvent(new Event('pointerleave'))
    await page.pass(2_000)
    expect(symbols()).toEqual(['ETH', 'BTC'])
  })
})
