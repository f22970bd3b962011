/**
 * What client and server may say to each other: version 1 of the wire, as `handlers/hub/protocol.py` speaks it.
 *
 * Both sides are checked against the same files, `tests/messages/*.json`. The guards look only at what a reader relies
 * on: unknown members are allowed, so that a newer server does not break an older page.
 */

export const STREAMS = ['market', 'signals', 'binary'] as const
export type Stream = (typeof STREAMS)[number]

export const FORMATS = ['batch', 'single', 'compact'] as const
export type Format = (typeof FORMATS)[number]

/** Part of the vocabulary: never renamed. */
export const ERROR_CODES = [
  'bad_json',
  'bad_request',
  'unknown_action',
  'unknown_stream',
  'unknown_symbol',
  'too_many_symbols',
  'rate_limited',
  'unauthorized',
  'forbidden',
  'payload_too_large',
  'internal',
  'unavailable',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** The most symbols one subscription may name. */
export const MAX_SYMBOLS = 500

export const ACTIONS = ['subscribe', 'unsubscribe', 'snapshot', 'candles', 'votes', 'ping'] as const
export type Action = (typeof ACTIONS)[number]

/** What a request may be named: at most 128 characters, or a safe integer. */
export type RequestId = string | number | null

// Requests: key `action`.

export interface SubscribeRequest {
  action: 'subscribe'
  id?: RequestId
  streams: Stream[]
  /** Left out: every instrument. */
  symbols?: string[] | null
  /** The last sequence number the client has of each stream. */
  since?: Partial<Record<Stream, number | null>> | null
  format?: Format | null
}
export interface UnsubscribeRequest {
  action: 'unsubscribe'
  id?: RequestId
  streams: Stream[]
}
export interface SnapshotRequest {
  action: 'snapshot'
  id?: RequestId
  stream: Stream
}
export interface CandlesRequest {
  action: 'candles'
  id?: RequestId
  symbol: string
  timeframe: string
}
export interface VotesRequest {
  action: 'votes'
  id?: RequestId
  symbol: string
  timeframe: string
}
export interface PingRequest {
  action: 'ping'
  id?: RequestId
}
export type Request =
  | SubscribeRequest
  | UnsubscribeRequest
  | SnapshotRequest
  | CandlesRequest
  | VotesRequest
  | PingRequest

// What the streams carry.

export interface Instrument {
  symbol: string
  name: string
  class: string
  /** Digits after the point that a price is shown with. */
  decimals: number
}

/** One quote. Prices are null where the source has none; `ts` is the source's time in epoch milliseconds. */
export interface MarketData {
  last: number | null
  bid: number | null
  ask: number | null
  /** Change over 24 hours, per cent. */
  change_pct: number | null
  ts: number
  /** The provider's name; `simulated` and `replay` are not real prices. */
  source?: string
  /** The last good answer is older than twice the provider's period. */
  stale?: boolean
  market?: 'open' | 'closed'
  /** The price of something else that goes with it, such as a token of gold for gold. */
  proxy?: boolean
}

export type RatingLabel = 'STRONG_SELL' | 'SELL' | 'NEUTRAL' | 'BUY' | 'STRONG_BUY'
export type VoteCounts = Record<'buy' | 'neutral' | 'sell', number>

/** A technical rating; `rating` lies in [-1, 1], null with a `reason` where there is nothing to rate. */
export interface SignalData {
  rating: number | null
  label: RatingLabel | null
  method?: string
  timeframe?: string
  counts?: { ma?: VoteCounts; osc?: VoteCounts }
  /** When the rated candle closed, epoch milliseconds. */
  closed_at?: number
  source?: string
  /** The same of the other timeframes that this server rates and keeps candles of. */
  other_timeframes?: SignalData[]
  /** The candle is older than it ought to be. */
  stale?: boolean
  /** Rated are candles of something else that goes with it. */
  proxy?: boolean
  atr?: number | null
  reason?: string
  not_advice?: boolean
  [more: string]: unknown
}

export interface SentimentHorizon {
  /** Such as `1m`, `5m`, `15m`. */
  h: string
  /** Where the horizon ends on the clock's grid, epoch milliseconds. */
  expiry?: number
  /** Share of calls in [0, 1]; `put` is the rest. */
  call: number | null
  put: number | null
  label?: string | null
  parts?: Record<string, number | null>
  /** Sample size. */
  n?: number
  /** `mids` where nothing was traded, and the flow is how often the price rose. */
  basis?: string
}

/** Order-flow sentiment: what was traded, not a forecast. */
export interface BinaryData {
  method?: string
  horizons: SentimentHorizon[]
  ts?: number
  source?: string | null
  /** Why there is none: `closed`, `no_data` or `no_answer`. */
  reason?: string
  /** Of forex and metals; crypto is always open. */
  market?: 'open' | 'closed'
  /** Traded was something else that goes with it. */
  proxy?: boolean
  /** No new trades have been seen for a while. */
  stale?: boolean
  [more: string]: unknown
}

export interface StreamData {
  market: MarketData
  signals: SignalData
  binary: BinaryData
}

// Messages: key `type`.

export interface Snapshot<S extends Stream = Stream> {
  stream: S
  seq: number
  ts: number
  part?: number
  parts?: number
  instruments?: Instrument[]
  data: Record<string, StreamData[S]>
}
export interface SnapshotMessage extends Snapshot {
  type: 'snapshot'
  id?: RequestId
}
export interface SubscribedStream {
  /** Null before the first tick. */
  seq: number | null
  period_ms: number
  /** Left out if it is what the client has already, or if it follows in parts. */
  snapshot?: Snapshot | null
}
export interface SubscribedMessage {
  type: 'subscribed'
  id?: RequestId
  v: number
  server_time: number
  max_age_ms: number
  ping_after_ms: number
  streams: Partial<Record<Stream, SubscribedStream>>
}
export interface UnsubscribedMessage {
  type: 'unsubscribed'
  id?: RequestId
  /** What the connection still follows. */
  streams: Stream[]
}
export interface BatchUpdate<S extends Stream = Stream> {
  symbol: string
  /** Absolute values; members that did not change may be missing. */
  data: Partial<StreamData[S]>
}
export interface BatchMessage {
  type: 'market_batch' | 'signal_batch' | 'binary_batch'
  seq: number
  /** The number of the tick sent before it; null for the very first. */
  prev: number | null
  ts: number
  /** Several messages of one tick count themselves. */
  part?: number
  parts?: number
  updates: BatchUpdate[]
}
/** What a quote has to say beside its prices: its origin when that has changed, its time when it is another one. */
export interface CompactRest {
  source?: string
  stale?: boolean
  market?: 'open' | 'closed'
  /** Beside a source, where one of the instrument's is a proxy. */
  proxy?: boolean
  ts?: number
}
/**
 * The instrument's number in the snapshot's `instruments`, last, bid, ask, change over 24 hours in per cent, the rest.
 *
 * What is missing at the end is null; a bid or ask of 0 is the same as last.
 */
export type CompactQuote = [number, (number | null)?, (number | null)?, (number | null)?, (number | null)?, CompactRest?]
/** A market batch in numbers, for a connection that asked for the format `compact`; `client.ts` does not. */
export interface CompactMessage {
  type: 'market_compact'
  seq: number
  prev: number | null
  ts: number
  /** CRC-32 of the symbols that the updates count in, with commas between. */
  list: number
  part?: number
  parts?: number
  updates: CompactQuote[]
}
/** One symbol, with its last known full data. */
export interface MarketUpdate {
  type: 'market_update'
  symbol: string
  data: MarketData
}
export interface SignalUpdate {
  type: 'signal_update'
  symbol: string
  data: SignalData
}
export interface BinaryUpdate {
  type: 'binary_update'
  symbol: string
  data: BinaryData
}
export interface Updates {
  market: MarketUpdate
  signals: SignalUpdate
  binary: BinaryUpdate
}
/** Open time in epoch milliseconds, open, high, low, close, volume (null where the source has none). */
export type Candle = [number, number, number, number, number, number | null]
export interface CandlesMessage {
  type: 'candles'
  id?: RequestId
  symbol: string
  timeframe: string
  /** Oldest first. */
  candles: Candle[]
  source?: string
}
export interface VotesMessage {
  type: 'votes'
  id?: RequestId
  symbol: string
  timeframe: string
  /** By indicator name; null is not available. */
  votes: Record<string, -1 | 0 | 1 | null>
}
export interface PongMessage {
  type: 'pong'
  id?: RequestId
  ts: number
}
export interface StatusMessage {
  type: 'status'
  component: string
  state: 'ok' | 'degraded' | 'down' | 'closed'
  since: number
}
export interface ErrorMessage {
  type: 'error'
  id?: RequestId
  code: ErrorCode
  message: string
  retryable: boolean
  retry_after_ms: number | null
}
export type ServerMessage =
  | SubscribedMessage
  | UnsubscribedMessage
  | SnapshotMessage
  | BatchMessage
  | CompactMessage
  | MarketUpdate
  | SignalUpdate
  | BinaryUpdate
  | CandlesMessage
  | VotesMessage
  | PongMessage
  | StatusMessage
  | ErrorMessage

// Guards.

type Fields = Record<string, unknown>
type Check = (value: unknown) => boolean

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isFlag: Check = (value) => typeof value === 'boolean'
const isPrice: Check = (value) => value === null || Number.isFinite(value)
const isId: Check = (value) => value == null || (isText(value) ? value.length <= 128 : Number.isSafeInteger(value))
const oneOf = (words: readonly unknown[]): Check => (value) => words.includes(value)
const listOf = (check: Check): Check => (value) => Array.isArray(value) && value.every(check)
const mapOf = (check: Check): Check => (value) => isObject(value) && Object.values(value).every(check)
/** May be null or missing. */
const maybe = (check: Check): Check => (value) => value == null || check(value)
/** An object whose named members pass. */
const shape = (checks: Record<string, Check>): Check => {
  const entries = Object.entries(checks)
  return (value) => isObject(value) && entries.every(([name, check]) => check(value[name]))
}
/** May be missing, but not null. */
const optional = (check: Check): Check => (value) => value === undefined || check(value)

export const isStream = (value: unknown): value is Stream => oneOf(STREAMS)(value)
export const isErrorCode = (value: unknown): value is ErrorCode => oneOf(ERROR_CODES)(value)

const PRICES = { last: isPrice, bid: isPrice, ask: isPrice, change_pct: isPrice, ts: isCount }
const isOpenOrClosed = oneOf(['open', 'closed'])
const isWholeQuote = shape({ ...PRICES, source: isText, stale: isFlag, market: isOpenOrClosed })
const isChangedQuote = shape({
  ...PRICES,
  source: optional(isText),
  stale: optional(isFlag),
  market: optional(isOpenOrClosed),
})
const isInstrument = shape({ symbol: isText, name: isText, class: isText, decimals: isCount })

const SNAPSHOT = {
  seq: isCount,
  ts: isCount,
  part: maybe(isCount),
  parts: maybe(isCount),
  instruments: maybe(listOf(isInstrument)),
}
const isMarketSnapshot = shape({ ...SNAPSHOT, stream: oneOf(['market']), data: mapOf(isWholeQuote) })
const isOtherSnapshot = shape({ ...SNAPSHOT, stream: oneOf(['signals', 'binary']), data: mapOf(isObject) })
const isSnapshot: Check = (value) => isMarketSnapshot(value) || isOtherSnapshot(value)

const batchOf = (data: Check): Check =>
  shape({
    seq: isCount,
    prev: (value) => value === null || isCount(value),
    ts: isCount,
    part: maybe(isCount),
    parts: maybe(isCount),
    updates: listOf(shape({ symbol: isText, data })),
  })
const isOrigin = shape({
  source: isText,
  stale: isFlag,
  market: isOpenOrClosed,
  proxy: optional(isFlag),
  ts: optional(isCount),
})
const isNothingButTime = shape({
  source: oneOf([undefined]),
  stale: oneOf([undefined]),
  market: oneOf([undefined]),
  proxy: oneOf([undefined]),
  ts: isCount,
})
const isCompactRest: Check = (value) => isOrigin(value) || isNothingButTime(value)
const isCompactQuote: Check = (value) =>
  Array.isArray(value) &&
  value.length >= 1 &&
  value.length <= 6 &&
  isCount(value[0]) &&
  value.slice(1, 5).every(isPrice) &&
  (value.length < 6 || isCompactRest(value[5]))
const isSubscribedStream = shape({ seq: maybe(isCount), period_ms: isCount, snapshot: maybe(isSnapshot) })

const MESSAGES: Record<ServerMessage['type'], Check> = {
  subscribed: shape({
    v: isCount,
    server_time: isCount,
    max_age_ms: isCount,
    ping_after_ms: isCount,
    streams: (value) => mapOf(isSubscribedStream)(value) && Object.keys(value as Fields).every(isStream),
  }),
  unsubscribed: shape({ streams: listOf(isStream) }),
  snapshot: isSnapshot,
  market_batch: batchOf(isChangedQuote),
  signal_batch: batchOf(isObject),
  binary_batch: batchOf(isObject),
  market_compact: shape({
    seq: isCount,
    prev: (value) => value === null || isCount(value),
    ts: isCount,
    list: isCount,
    part: maybe(isCount),
    parts: maybe(isCount),
    updates: listOf(isCompactQuote),
  }),
  market_update: shape({ symbol: isText, data: isWholeQuote }),
  signal_update: shape({ symbol: isText, data: isObject }),
  binary_update: shape({ symbol: isText, data: isObject }),
  candles: shape({
    symbol: isText,
    timeframe: isText,
    candles: listOf((candle) => Array.isArray(candle) && candle.length >= 5 && candle.every(isPrice)),
  }),
  votes: shape({ symbol: isText, timeframe: isText, votes: mapOf(oneOf([-1, 0, 1, null])) }),
  pong: shape({ ts: isCount }),
  status: shape({ component: isText, state: oneOf(['ok', 'degraded', 'down', 'closed']), since: isCount }),
  error: shape({ code: isErrorCode, message: isText, retryable: isFlag, retry_after_ms: maybe(isCount) }),
}

/** Say whether a decoded JSON value is a message of this version; unknown types are not. */
export function isServerMessage(value: unknown): value is ServerMessage {
  if (!isObject(value) || !isText(value['type']) || !Object.hasOwn(MESSAGES, value['type'])) return false
  return isId(value['id']) && MESSAGES[value['type'] as ServerMessage['type']](value)
}

const isSubscribe = shape({
  id: isId,
  streams: listOf(isText),
  symbols: maybe(listOf(isText)),
  since: maybe(mapOf(maybe(Number.isSafeInteger))),
  format: maybe(oneOf(FORMATS)),
})
const isUnsubscribe = shape({ id: isId, streams: listOf(isText) })
const isSnapshotRequest = shape({ id: isId, stream: isText })
const isAboutCandles = shape({ id: isId, symbol: isText, timeframe: isText })

/**
 * Say what a server would refuse this text for, or null for a request that it can read.
 *
 * Whether a symbol exists only the server knows.
 */
export function faultOfRequest(text: string): ErrorCode | null {
  if (text.trim() === 'ping') return null
  let request: unknown
  try {
    request = JSON.parse(text)
  } catch {
    return 'bad_json'
  }
  if (!isObject(request)) return 'bad_json'
  const streams = request['streams'] ?? [request['stream']]
  switch (request['action']) {
    case 'subscribe':
    case 'unsubscribe':
    case 'snapshot': {
      const isReadable = { subscribe: isSubscribe, unsubscribe: isUnsubscribe, snapshot: isSnapshotRequest }[
        request['action']
      ]
      if (!isReadable(request) || !Array.isArray(streams) || !streams.length) return 'bad_request'
      if (!streams.every(isStream)) return 'unknown_stream'
      const { symbols } = request
      return Array.isArray(symbols) && symbols.length > MAX_SYMBOLS ? 'too_many_symbols' : null
    }
    case 'candles':
    case 'votes':
      return isAboutCandles(request) ? null : 'bad_request'
    case 'ping':
      return isId(request['id']) ? null : 'bad_request'
    default:
      return isText(request['action']) ? 'unknown_action' : 'bad_request'
  }
}
