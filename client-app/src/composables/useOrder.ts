import { computed, type Ref, shallowRef, watch } from 'vue'

import { spread } from '../format'
import { useMarketStore, type Row } from '../stores/market'
import { usePreferencesStore, type SortKey } from '../stores/preferences'
import { useNow } from './useNow'

export const FAVOURITES = 'favourites'
export const ALL = 'all'

const VALUES: Record<Exclude<SortKey, 'listed' | 'symbol'>, (row: Row) => number | null> = {
  last: (row) => row.last,
  change: (row) => row.change_pct,
  spread: (row) => spread(row.bid, row.ask),
  age: (row) => -row.ts,
}

/**
 * The symbols to show, in order.
 *
 * A choice of the reader's applies at once. Prices that overtake each other reorder the table every second, but never
 * while `frozen`: a row must not slip away under the pointer.
 */
export function useOrder(filter: { search: Ref<string>; tab: Ref<string> }, frozen: Ref<boolean>): Ref<readonly string[]> {
  const market = useMarketStore()
  const preferences = usePreferencesStore()
  const now = useNow()
  const order = shallowRef<readonly string[]>([])

  const matching = computed(() => {
    const words = filter.search.value.toLowerCase().split(/\s+/).filter(Boolean)
    return market.symbols.filter((symbol) => {
      const row = market.peek(symbol)
      if (!row) return false
      if (filter.tab.value === FAVOURITES && !preferences.favourites.has(symbol)) return false
      if (![ALL, FAVOURITES].includes(filter.tab.value) && row.class !== filter.tab.value) return false
      const text = `${symbol} ${row.name} ${row.class}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
  })

  function sort(): void {
    const { key, descending } = preferences.sort
    const sorted = [...matching.value]
    if (key === 'symbol') {
      sorted.sort((a, b) => a.localeCompare(b))
      if (descending) sorted.reverse()
    } else if (key !== 'listed') {
      const value = (symbol: string): number | null => {
        const row = market.peek(symbol)
        return row ? VALUES[key](row) : null
      }
      const keyed = sorted.map((symbol) => ({ symbol, value: value(symbol) }))
      // What has no value stands last, whichever way the rest is sorted.
      keyed.sort((a, b) => {
        if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null)
        return descending ? b.value - a.value : a.value - b.value
      })
      sorted.splice(0, sorted.length, ...keyed.map(({ symbol }) => symbol))
    }
    if (sorted.join() !== order.value.join()) order.value = sorted
  }

  watch([matching, () => preferences.sort], sort, { immediate: true })
  watch(now, () => {
    if (!frozen.value && !market.paused && !['listed', 'symbol'].includes(preferences.sort.key)) sort()
  })
  return order
}
