/**
 * What is listened to, what of it the server has been asked for, and the last known value of everything.
 *
 * Batches carry what changed; here they are laid over what is known, by their sequence numbers.
 */

import type {
  BatchMessage,
  ErrorCode,
  ErrorMessage,
  Instrument,
  PongMessage,
  ServerMessage,
  Snapshot,
  Stream,
  StreamData,
  SubscribedMessage,
} from '../protocol.js'
import { type ConnectionOptions, keepConnection, type Link, type State } from './connection.js'

export interface Options extends ConnectionOptions {
  /** The address of the gateway's stage; left out, the public path of the first stream on the page's own host. */
  url?: string
}

export interface ListenOptions {
  /** Left out: every instrument. Upper or lower case. */
  symbols?: readonly string[]
  /** Its abort is the same as calling the returned function. */
  signal?: AbortSignal
}

/** How things stand; instants in epoch milliseconds, durations in milliseconds. */
export interface Status {
  state: State
  /** Why the state is what it is, in English, for people who look for a fault. */
  reason: string
  /** How many tries have failed since the connection was last stable. */
  attempt: number
  nextRetryAt: number | null
  lastMessageAt: number | null
  /** Round trip of the last request that was answered at once. */
  rtt: number | null
  /** What to add to this machine's clock to get the server's. */
  clockOffset: number
  /** Frames that were no message of this protocol. */
  malformed: number
  /** The last sequence number of each stream; 0 before the first. */
  seq: Record<Stream, number>
}

/** All that one message brought for one stream: full data of every symbol in it. */
export interface Batch<S extends Stream = Stream> {
  stream: S
  seq: number
  updates: { symbol: string; data: StreamData[S] }[]
}

export interface Events {
  state: Status
  /** Every message as it came, with its length in characters. */
  message: { message: ServerMessage; length: number }
  batch: Batch
  /** Ticks between `from` and `to` were not received; a snapshot has been or will be asked for. */
  gap: { stream: Stream; from: number; to: number }
  error: ErrorMessage
  /** Round trip, milliseconds. */
  latency: number
}

export type Unsubscribe = () => void

export interface Streams {
  instruments: Map<string, Instrument>
  listen(stream: Stream, callback: (update: never) => void, options?: ListenOptions): Unsubscribe
  on<E extends keyof Events>(event: E, handler: (event: Events[E]) => void): Unsubscribe
  request(body: { action: string } & Fields): Promise<ServerMessage>
  status(): Status
  retry(): void
  end(state: State, reason: string): void
}

type Fields = Record<string, unknown>

interface Listener {
  callback: (update: never) => void
  symbols: Set<string> | undefined
  stop: Unsubscribe
  /** It has been given what was known when it came, and has not been stopped. */
  isReady: boolean
}

interface Channel {
  listeners: Set<Listener>
  rows: Map<string, { seq: number; data: Fields }>
  seq: number
  /** How many parts of the message that `seq` is of are still to come. */
  left: number
  /** Milliseconds between ticks. */
  period: number
  /** The symbols of the last answered subscription. */
  key: string
  /** The server refused our list of symbols: take all and choose here. */
  wide: boolean
  /** Ticks were missed: what a snapshot's number must reach to make up for them; 0 if none were. */
  gap: number
  askedAt: number
  notBefore: number
}

/** A request without its answer. */
interface Pending {
  at: number
  body: Fields
  link?: Link | undefined
  stream?: Stream
  /** The symbols asked for, if it is a subscription. */
  key?: string
  resolve?: (message: ServerMessage) => void
  reject?: (error: ErrorMessage) => void
}

const PATHS: Record<Stream, string> = {
  market: '/ws/market/stream',
  signals: '/ws/trading/signals/stream',
  binary: '/ws/trading/binary/stream',
}
const STREAMS = Object.keys(PATHS) as Stream[]
const EVERYTHING = '*'
const SYMBOL = /^[A-Z0-9._-]{1,20}$/
const MAX_SYMBOLS = 500
const LINGER = 5_000
const ANSWER_WITHIN = 10_000
const SNAPSHOT_EVERY = 5_000
const RETRY_AFTER = 1_000
const QUEUE_LIMIT = 32
/** States without a socket, nor one to come by itself. */
const ENDED = /^(idle|closed|failed)$/
/** What is known of a stream before its first message. */
const BLANK = { seq: 0, left: 0, key: '', gap: 0 }

/** What the types of messages are made of: `market_update`, `signal_batch`. */
const typeOf = (stream: Stream, kind: string): string => `${stream.replace(/s$/, '')}_${kind}`

/** A quote without its source is what changed of one; all else replaces what it follows. */
const isWhole = (stream: Stream, data: Fields): unknown => stream !== 'market' || data['source']

const fault = (code: ErrorCode, message: string): ErrorMessage => ({
  type: 'error',
  code,
  message,
  retryable: true,
  retry_after_ms: null,
})

const covers = (have: string, want: string): boolean =>
  have === EVERYTHING || want.split(',').every((symbol) => have.split(',').includes(symbol))

/** Carry the streams that are listened to over one connection; nothing happens before `listen`. */
export function followStreams({ url, ...options }: Options): Streams {
  const instruments = new Map<string, Instrument>()
  const handlers = new Map<string, Set<(event: never) => void>>()
  const pendings = new Map<string, Pending>()
  const channels = {} as Record<Stream, Channel>
  let lastId = 0
  let releasedAt = 0
  let pingAfter = 15_000
  let rtt: number | null = null
  let clockOffset = 0
  let malformed = 0

  for (const stream of STREAMS) {
    channels[stream] = {
      listeners: new Set(),
      rows: new Map(),
      period: 5_000,
      wide: false,
      askedAt: 0,
      notBefore: 0,
      ...BLANK,
    }
  }

  const connection = keepConnection(
    {
      url() {
        const first = STREAMS.find(wanted) ?? 'market'
        return url ?? location.origin.replace(/^http/, 'ws') + PATHS[first]
      },
      opened() {
        synchronise()
        flush()
      },
      received(text, link) {
        try {
          // The gateway's own words: {"message": "Internal server error", "connectionId": …, "requestId": …}
          const frame = JSON.parse(text) as ServerMessage | { type?: never; message: string }
          const message = frame.type ? frame : fault('internal', frame.message.trim())
          emit('message', { message, length: text.length })
          understand(message, link)
        } catch {
          malformed++
        }
      },
      silence: () =>
        Math.max(pingAfter, 3 * Math.min(...STREAMS.filter(wanted).map((stream) => channels[stream].period))),
      probe(link) {
        ask({ action: 'ping' }, { link })
      },
      lost(link) {
        for (const [id, pending] of pendings) {
          if (pending.link !== link) continue
          pending.link = undefined
          // What the page asked for is asked again on the next socket.
          if (!pending.resolve) pendings.delete(id)
        }
      },
      beat,
      changed() {
        const { state, reason } = connection.status()
        if (ENDED.test(state)) {
          for (const { reject } of pendings.values()) reject?.(fault('unavailable', reason))
          pendings.clear()
        }
        emit('state', status())
      },
    },
    options,
  )
  const { now } = connection

  function status(): Status {
    const seq = {} as Status['seq']
    for (const stream of STREAMS) seq[stream] = channels[stream].seq
    return { ...connection.status(), rtt, clockOffset, malformed, seq }
  }

  function on<E extends keyof Events>(event: E, handler: (event: Events[E]) => void): Unsubscribe {
    const those = handlers.get(event) ?? new Set()
    handlers.set(event, those)
    those.add(handler)
    return () => those.delete(handler)
  }

  function call(callback: (value: never) => void, value: unknown): void {
    try {
      callback(value as never)
    } catch (error) {
      console.error(error) // the page's fault: the socket and the other listeners go on
    }
  }

  function emit<E extends keyof Events>(event: E, value: Events[E]): void {
    handlers.get(event)?.forEach((handler) => {
      call(handler, value)
    })
  }

  function listen(
    stream: Stream,
    callback: (update: never) => void,
    { symbols, signal }: ListenOptions = {},
  ): Unsubscribe {
    const names = symbols?.map((symbol) => symbol.trim().toUpperCase())
    if (names && !(names.length && names.every((name) => SYMBOL.test(name)))) {
      throw new TypeError(`no symbols: ${names.join()}`)
    }
    const channel = channels[stream]
    const stop = (): void => {
      if (!channel.listeners.delete(listener)) return
      listener.isReady = false
      signal?.removeEventListener('abort', stop)
      channel.wide = false
      releasedAt = now()
    }
    const listener = { callback, symbols: names && new Set(names), stop, isReady: false }
    if (signal?.aborted) return stop
    signal?.addEventListener('abort', stop)
    channel.listeners.add(listener)
    queueMicrotask(() => {
      listener.isReady = channel.listeners.has(listener)
      for (const [symbol, { data }] of channel.rows) deliver(stream, symbol, data, [listener])
      if (!STREAMS.some(wanted)) return
      if (connection.status().state !== 'failed') connection.open()
      // Listeners that come together share one subscription: the first of them asks for all.
      synchronise()
    })
    return stop
  }

  function deliver(stream: Stream, symbol: string, data: Fields, listeners: Iterable<Listener>): void {
    if (!isWhole(stream, data)) return
    const update = { type: typeOf(stream, 'update'), symbol, data }
    for (const { isReady, symbols, callback } of listeners) {
      if (isReady && symbols?.has(symbol) !== false) call(callback, update)
    }
  }

  /** The symbols wanted of a stream, in order and with commas; undefined if nobody listens. */
  function wanted(stream: Stream): string | undefined {
    const { listeners, wide } = channels[stream]
    if (!listeners.size) return
    const names = [...listeners].flatMap(({ symbols }) => [...(symbols ?? [EVERYTHING])])
    const distinct = [...new Set(names)].sort()
    return wide || names.includes(EVERYTHING) || distinct.length > MAX_SYMBOLS ? EVERYTHING : distinct.join()
  }

  /** Bring what every open socket is subscribed to in line with what is wanted; less of it only if `shrink`. */
  function synchronise(shrink = false): void {
    for (const link of connection.links()) {
      for (const stream of STREAMS) {
        const channel = channels[stream]
        const want = wanted(stream)
        const have = link.sent.get(stream)
        if (!want) {
          if (shrink && have !== undefined && ask({ action: 'unsubscribe', streams: [stream] }, { link })) {
            link.sent.delete(stream)
            clear(channel)
          }
        } else if (
          have !== want &&
          (have === undefined || shrink || !covers(have, want)) &&
          now() >= channel.notBefore &&
          ask(
            {
              action: 'subscribe',
              streams: [stream],
              symbols: want === EVERYTHING ? undefined : want.split(','),
              since: channel.key === want && !(channel.gap || channel.left) ? { [stream]: channel.seq } : undefined,
            },
            { link, stream, key: want },
          )
        ) {
          link.sent.set(stream, want)
        }
      }
    }
  }

  function ask(fields: Fields, about: { link: Link; stream?: Stream; key?: string }): boolean {
    const id = `${++lastId}`
    const body = { ...fields, id }
    return connection.send(body, about.link) && !!pendings.set(id, { at: now(), body, ...about })
  }

  function request(fields: Fields): Promise<ServerMessage> {
    return new Promise((resolve, reject: (error: ErrorMessage) => void) => {
      const waiting = [...pendings.values()].filter((pending) => pending.resolve)
      if (!STREAMS.some(wanted) || connection.status().state === 'failed' || waiting.length >= QUEUE_LIMIT) {
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a fault is the wire's own message
        reject(fault('unavailable', 'not connected, or too busy'))
      } else {
        const id = `${++lastId}`
        pendings.set(id, { at: now(), body: { ...fields, id }, resolve, reject })
        flush()
      }
    })
  }

  function flush(): void {
    const [link] = connection.links()
    for (const pending of pendings.values()) {
      if (link && !pending.link && connection.send(pending.body, link)) pending.link = link
    }
  }

  function clear(channel: Channel): void {
    channel.rows.clear()
    Object.assign(channel, BLANK)
  }

  function end(state: State, reason: string): void {
    for (const stream of STREAMS) {
      for (const { stop } of channels[stream].listeners) stop()
      clear(channels[stream])
    }
    connection.close(state, reason)
  }

  function beat(at: number): void {
    const lingered = at - releasedAt >= LINGER
    if (lingered && !STREAMS.some(wanted)) {
      end('idle', '')
      return
    }
    for (const [id, pending] of pendings) {
      if (at - pending.at < ANSWER_WITHIN) continue
      pendings.delete(id)
      // A subscription without an answer is made again.
      if (pending.key) pending.link?.sent.delete(pending.stream ?? '')
      pending.reject?.(fault('unavailable', 'no answer'))
    }
    synchronise(lingered)
    flush()
    STREAMS.forEach(repair)
  }

  function isAnswered(link: Link | undefined, stream: Stream): boolean | undefined {
    return (
      link?.sent.has(stream) &&
      ![...pendings.values()].some((pending) => pending.link === link && pending.stream === stream)
    )
  }

  /** Ask for one snapshot after a gap, at most every five seconds, and not while a subscription's answer is due. */
  function repair(stream: Stream): void {
    const channel = channels[stream]
    const [link] = connection.links()
    if (
      channel.gap &&
      link &&
      isAnswered(link, stream) &&
      now() >= Math.max(channel.askedAt + SNAPSHOT_EVERY, channel.notBefore) &&
      ask({ action: 'snapshot', stream }, { link, stream })
    ) {
      channel.askedAt = now()
    }
  }

  function understand(message: ServerMessage, link: Link): void {
    const id = `${(message as PongMessage).id}`
    const pending = pendings.get(id)
    pendings.delete(id)
    if (message.type === 'error') {
      refuse(message, link, pending)
      return
    }
    pending?.resolve?.(message)
    if (message.type === 'subscribed') {
      measure(pending, message.server_time)
      follow(message, pending?.key)
      settle(link)
    } else if (message.type === 'snapshot') {
      learn(message)
    } else if (message.type === 'pong') {
      measure(pending, message.ts)
    } else {
      for (const stream of STREAMS) {
        if (message.type === typeOf(stream, 'batch')) tick(stream, message as BatchMessage, link)
      }
    }
  }

  function measure(pending: Pending | undefined, serverTime: number): void {
    if (!pending) return
    rtt = now() - pending.at
    clockOffset = serverTime - now() + rtt / 2
    emit('latency', rtt)
  }

  function follow(answer: SubscribedMessage, key: string | undefined): void {
    for (const stream of STREAMS) {
      const state = answer.streams[stream]
      if (!state) continue
      const channel = channels[stream]
      channel.period = state.period_ms
      // Numbers far below ours are another count, such as that of a server whose clock was set back.
      if ((state.seq ?? 0) + 2 < channel.seq) clear(channel)
      if (key) {
        channel.key = key
        for (const symbol of channel.rows.keys()) if (!covers(key, symbol)) channel.rows.delete(symbol)
      }
      if (state.snapshot) learn({ ...state.snapshot, stream })
      repair(stream)
    }
    pingAfter = answer.ping_after_ms
    connection.allow(answer.max_age_ms)
  }

  function settle(link: Link): void {
    if (STREAMS.every((stream) => !wanted(stream) || isAnswered(link, stream))) connection.settled(link)
  }

  function learn({ stream, seq, part = 1, parts = 1, instruments: named, data }: Snapshot): void {
    for (const instrument of named ?? []) instruments.set(instrument.symbol, instrument)
    if (part === parts && seq >= channels[stream].gap) channels[stream].gap = 0
    merge(stream, seq, Object.entries(data), parts - part)
  }

  function tick(stream: Stream, { seq, prev, part = 1, parts = 1, updates }: BatchMessage, link: Link): void {
    const channel = channels[stream]
    if (!link.sent.has(stream)) {
      link.sent.set(stream, '') // the path subscribed us: noted, so that it ends if nobody wants it
    } else if (seq > channel.seq || (seq === channel.seq && parts - part < channel.left)) {
      const { seq: from } = channel
      if (seq > from && prev !== from) {
        channel.gap = prev ?? seq
        if (from) emit('gap', { stream, from, to: seq })
      }
      merge(
        stream,
        seq,
        updates.map(({ symbol, data }) => [symbol, data]),
        parts - part,
      )
      repair(stream)
    }
  }

  /** Lay newer values over what is known, and what is known over older values. */
  function merge(stream: Stream, seq: number, news: [string, object][], left: number): void {
    // A handler has ended everything in the middle of this message.
    if (ENDED.test(connection.status().state)) return
    const channel = channels[stream]
    const updates = news.map(([symbol, values]) => {
      const row = channel.rows.get(symbol)
      const isNewer = !row || seq >= row.seq
      const [under, over] = (isNewer ? [row?.data, values] : [values, row.data]) as [Fields, Fields]
      const data = Object.freeze(isWhole(stream, over) ? over : { ...under, ...over })
      channel.rows.set(symbol, { seq: isNewer ? seq : row.seq, data })
      return { symbol, data }
    })
    if (seq >= channel.seq) Object.assign(channel, { seq, left })
    emit('batch', { stream, seq, updates: updates as unknown as Batch['updates'] })
    for (const { symbol, data } of updates) deliver(stream, symbol, data, channel.listeners)
  }

  function refuse(error: ErrorMessage, link: Link, pending: Pending | undefined): void {
    emit('error', error)
    const later = now() + (error.retry_after_ms ?? RETRY_AFTER)
    if (pending?.reject) {
      pending.reject(error)
    } else if (/^(unauthorized|forbidden)$/.test(error.code)) {
      connection.close('failed', error.message)
    } else if (pending?.stream) {
      const channel = channels[pending.stream]
      if (/_symbols?$/.test(error.code)) {
        channel.wide = true
        link.sent.delete(pending.stream)
        synchronise()
      } else if (error.retryable) {
        channel.notBefore = later
        if (pending.key) link.sent.delete(pending.stream)
      } else {
        channel.gap = 0
      }
      settle(link)
    } else if (error.retry_after_ms) {
      connection.holdUntil(later)
    }
  }

  return {
    instruments,
    listen,
    on,
    request,
    status,
    end,
    retry() {
      if (STREAMS.some(wanted)) connection.retry()
    },
  }
}
