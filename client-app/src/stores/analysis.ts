/** Technical ratings and order-flow sentiment, gathered as they come and written once a frame. */

import { defineStore } from 'pinia'
import { type ShallowRef, shallowRef } from 'vue'

import { useClient } from '../client'
import type { BinaryData, SignalData, VotesMessage } from '../protocol'

/** One value per instrument, each in a shallow ref of its own. */
function createBoard<T extends object>() {
  const values = new Map<string, ShallowRef<T>>()
  const pending = new Map<string, T>()
  const symbols = shallowRef<readonly string[]>([])
  let frame = 0

  function flush(): void {
    frame = 0
    const known = values.size
    for (const [symbol, value] of pending) {
      const held = values.get(symbol)
      if (held) held.value = value
      else values.set(symbol, shallowRef(value))
    }
    pending.clear()
    if (values.size > known) symbols.value = [...values.keys()]
  }

  return {
    symbols,
    of: (symbol: string): T | undefined => values.get(symbol)?.value,
    put: ({ symbol, data }: { symbol: string; data: T }): void => {
      pending.set(symbol, data)
      frame ||= requestAnimationFrame(flush)
    },
  }
}

export const useAnalysisStore = defineStore('analysis', () => {
  const client = useClient()
  const ratings = createBoard<SignalData>()
  const sentiments = createBoard<BinaryData>()
  let stops: (() => void)[] = []

  function connect(): void {
    if (!stops.length) stops = [client.connectSignals(ratings.put), client.connectBinary(sentiments.put)]
  }

  function disconnect(): void {
    for (const stop of stops) stop()
    stops = []
  }

  /** Ask for the votes behind one rating; rejects with the server's error. */
  const askForVotes = (symbol: string, timeframe: string): Promise<VotesMessage> =>
    client.request<VotesMessage>({ action: 'votes', symbol, timeframe })

  return {
    rated: ratings.symbols,
    sensed: sentiments.symbols,
    rating: ratings.of,
    sentiment: sentiments.of,
    connect,
    disconnect,
    askForVotes,
  }
})
