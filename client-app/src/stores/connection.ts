/** How the connection is doing: state, round trip, rates, and what the server complains about. */

import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'

import { useClient } from '../client'
import { useNow } from '../composables/useNow'
import type { ErrorMessage, StatusMessage } from '../protocol'

/** Seconds over which rates are averaged: two ticks of the market. */
const WINDOW = 10
/** For how long after the last complaint it is shown, milliseconds: longer than the client waits to ask again. */
const TROUBLE_LASTS = 15_000
/** A healthy market sends something every minute, for every twelfth tick is always sent; milliseconds. */
const LATE_AFTER = 75_000
/** Complaints about a single request are told where it was made. */
const SERVER_TROUBLE = ['internal', 'unavailable', 'rate_limited', 'unauthorized', 'forbidden']

export const useConnectionStore = defineStore('connection', () => {
  const client = useClient()
  const now = useNow()
  const status = shallowRef(client.status)
  const components = shallowRef<ReadonlyMap<string, StatusMessage>>(new Map())
  const complaint = shallowRef<{ error: ErrorMessage; at: number } | null>(null)
  const heardAt = shallowRef(0)
  const tickedAt = shallowRef(0)
  const recent: { at: number; length: number }[] = []

  client.on('state', (changed) => {
    status.value = changed
  })
  client.on('latency', () => {
    status.value = client.status
  })
  client.on('batch', ({ stream }) => {
    if (stream === 'market') tickedAt.value = Date.now()
  })
  client.on('message', ({ message, length }) => {
    const at = Date.now()
    recent.push({ at, length })
    while ((recent[0]?.at ?? at) < at - WINDOW * 1_000) recent.shift()
    heardAt.value = at
    // An answered subscription is the sign that the server is well again.
    if (message.type === 'subscribed') complaint.value = null
    if (message.type === 'status') {
      components.value = new Map(components.value).set(message.component, message)
    }
  })
  client.on('error', (error) => {
    if (SERVER_TROUBLE.includes(error.code)) complaint.value = { error, at: Date.now() }
  })

  /** Messages and bytes a second, over the last ten. */
  const rates = computed(() => {
    const since = now.value - WINDOW * 1_000
    const those = recent.filter(({ at }) => at > since)
    const bytes = those.reduce((sum, { length }) => sum + length, 0)
    return { messages: those.length / WINDOW, bytes: bytes / WINDOW }
  })
  /** Milliseconds until the next try; null if none is planned. */
  const retryIn = computed(() => {
    const { nextRetryAt } = status.value
    return nextRetryAt === null ? null : Math.max(0, nextRetryAt - now.value)
  })
  /** Milliseconds since the last message; null before the first. */
  const silence = computed(() => (heardAt.value ? Math.max(0, now.value - heardAt.value) : null))
  /** Since when a server that answers has sent no prices; null while it does. */
  const lateSince = computed(() =>
    status.value.state === 'live' && tickedAt.value && now.value - tickedAt.value > LATE_AFTER ? tickedAt.value : null,
  )
  const trouble = computed(() =>
    complaint.value && now.value - complaint.value.at < TROUBLE_LASTS ? complaint.value.error : null,
  )
  const ailing = computed(() => [...components.value.values()].filter(({ state }) => state === 'degraded' || state === 'down'))

  return { status, rates, retryIn, silence, lateSince, trouble, ailing, retry: () => { client.retry() } }
})
