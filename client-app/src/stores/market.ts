/**
 * The last quote of every instrument, as the page shows it.
 *
 * Quotes are gathered as they come and written once a frame, the latest of each instrument only, into one shallow ref
 * per instrument: a row is rendered again only if its own quote changed. A hidden page has no frames and catches up
 * with the first one after its return.
 */

import { defineStore } from 'pinia'
import { computed, ref, type ShallowRef, shallowRef } from 'vue'

import { useClient } from '../client'
import type { MarketData } from '../protocol'

/** `a` and `b` are the same to the eye; the change of one into the other starts the animation again. */
export type Flash = '' | 'up-a' | 'up-b' | 'down-a' | 'down-b'

export interface Row extends MarketData {
  symbol: string
  name: string
  class: string
  decimals: number
  /** Where the last price change went. */
  direction: -1 | 0 | 1
  flash: Flash
  /** Prices seen since the page was opened, at most one a second, oldest first. */
  trend: readonly number[]
}

interface Memory {
  row: ShallowRef<Readonly<Row>>
  /** The same row for those who do not want to be told of the next. */
  latest: Readonly<Row>
  flashedAt: number
  sampledAt: number
}

/** At most one flash a second for each cell: well under the three that WCAG 2.3.1 allows. */
const FLASH_EVERY = 1_000
const SAMPLE_EVERY = 1_000
const TREND_LENGTH = 90
/** Sources that say themselves that their prices are not the market's. */
const UNREAL = ['simulated', 'replay']

export const useMarketStore = defineStore('market', () => {
  const client = useClient()
  const memories = new Map<string, Memory>()
  const pending = new Map<string, MarketData>()
  const symbols = shallowRef<readonly string[]>([])
  const sources = shallowRef<ReadonlySet<string>>(new Set())
  const paused = ref(false)
  const pausedAt = ref(0)
  /** When the last quotes were written, epoch milliseconds; 0 before the first. */
  const updatedAt = ref(0)
  let frame = 0
  /** The server has named instruments whose quotes came before their names. */
  let isRenamed = false
  let stop: (() => void) | undefined

  function connect(): void {
    stop ??= client.connectMarket(({ symbol, data }) => {
      pending.set(symbol, data)
      if (!frame && !paused.value) frame = requestAnimationFrame(flush)
    })
  }

  function disconnect(): void {
    stop?.()
    stop = undefined
  }

  function flush(): void {
    frame = 0
    if (paused.value || !pending.size) return
    const at = Date.now()
    const known = memories.size
    for (const [symbol, quote] of pending) write(symbol, quote, at)
    pending.clear()
    if (memories.size > known || isRenamed) list()
    isRenamed = false
    updatedAt.value = at
  }

  function write(symbol: string, quote: MarketData, at: number): void {
    const instrument = client.instruments.get(symbol)
    const memory = memories.get(symbol)
    const before = memory?.latest
    const moved = quote.last !== null && before?.last != null ? Math.sign(quote.last - before.last) : 0
    let flash: Flash = before?.flash ?? ''
    if (moved && memory && at - memory.flashedAt >= FLASH_EVERY) {
      flash = `${moved > 0 ? 'up' : 'down'}-${flash.endsWith('a') ? 'b' : 'a'}`
      memory.flashedAt = at
    }
    let trend = before?.trend ?? []
    if (quote.last !== null && at - (memory?.sampledAt ?? 0) >= SAMPLE_EVERY) {
      trend = [...trend.slice(1 - TREND_LENGTH), quote.last]
      if (memory) memory.sampledAt = at
    }
    const row: Row = {
      ...quote,
      symbol,
      name: instrument?.name ?? symbol,
      class: instrument?.class ?? 'other',
      decimals: instrument?.decimals ?? 2,
      direction: moved > 0 ? 1 : moved < 0 ? -1 : (before?.direction ?? 0),
      flash,
      trend,
    }
    isRenamed ||= !!before && before.class !== row.class
    if (memory) {
      memory.row.value = memory.latest = row
    } else {
      // Rows that came together are not sampled together: their lines are drawn in different frames.
      const sampledAt = at - Math.random() * SAMPLE_EVERY
      memories.set(symbol, { row: shallowRef(row), latest: row, flashedAt: 0, sampledAt })
    }
    if (quote.source && !sources.value.has(quote.source)) note()
  }

  /** In the server's own order, and what it has not listed at the end. */
  function list(): void {
    const listed = [...client.instruments.keys()].filter((symbol) => memories.has(symbol))
    symbols.value = [...new Set([...listed, ...memories.keys()])]
  }

  function note(): void {
    queueMicrotask(() => {
      const all = [...memories.values()].map(({ latest }) => latest.source)
      sources.value = new Set(all.filter((source) => source !== undefined))
    })
  }

  /** Show nothing new until `resume`; the socket stays, and only the latest of each quote is kept. */
  function pause(): void {
    paused.value = true
    pausedAt.value = Date.now()
  }

  function resume(): void {
    paused.value = false
    flush()
  }

  /** The quote of one instrument as a shallow ref; undefined before its first. */
  const row = (symbol: string): ShallowRef<Readonly<Row>> | undefined => memories.get(symbol)?.row
  /** The same without being told of changes. */
  const peek = (symbol: string): Readonly<Row> | undefined => memories.get(symbol)?.latest

  const classes = computed(() => {
    const count = new Map<string, number>()
    for (const symbol of symbols.value) {
      const name = peek(symbol)?.class ?? 'other'
      count.set(name, (count.get(name) ?? 0) + 1)
    }
    return count
  })
  const unreal = computed(() => UNREAL.filter((source) => sources.value.has(source)))

  return {
    symbols,
    sources,
    unreal,
    classes,
    paused,
    pausedAt,
    updatedAt,
    row,
    peek,
    connect,
    disconnect,
    pause,
    resume,
  }
})
