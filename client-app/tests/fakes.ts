/** A gateway, a clock and a page without any of their I/O: time moves when a test says so. */

import type { Clock, Page, Socket } from '../src/services/connection'
import type { Instrument, MarketData } from '../src/protocol'

export const START = 1_750_000_000_000

/** Time that stands still until `pass`; timers fire in order, each at its own instant. */
export class FakeClock implements Clock {
  #now = START
  #timers = new Map<number, { at: number; run: () => void }>()
  #ids = 0

  readonly now = (): number => this.#now

  readonly setTimeout = (run: () => void, after: number): number => {
    this.#timers.set(++this.#ids, { at: this.#now + after, run })
    return this.#ids
  }

  readonly clearTimeout = (id: unknown): void => {
    this.#timers.delete(id as number)
  }

  get timers(): number {
    return this.#timers.size
  }

  /** Let `duration` milliseconds pass. */
  pass(duration: number): void {
    const end = this.#now + duration
    for (;;) {
      const [id, due] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? []
      if (id === undefined || !due || due.at > end) break
      this.#timers.delete(id)
      this.#now = Math.max(this.#now, due.at)
      due.run()
    }
    this.#now = end
  }

  /** Let microtasks run, and whatever is due now. */
  async settle(): Promise<void> {
    for (let count = 0; count < 4; count++) {
      await new Promise((resolve) => setImmediate(resolve))
      this.pass(0)
    }
  }

  /** The machine sleeps: time goes on, but no timer fires until it wakes, and then each once. */
  sleep(duration: number): void {
    this.#now += duration
    const due = [...this.#timers].filter(([, timer]) => timer.at <= this.#now)
    for (const [id, timer] of due) if (this.#timers.delete(id)) timer.run()
  }
}

/** The events and facts of a browser's window. */
export class FakePage implements Page {
  document = { hidden: false }
  navigator = { onLine: true, connection: { saveData: false } }
  #listeners = new Map<string, Set<(event: never) => void>>()

  addEventListener(name: string, listener: (event: never) => void): void {
    const those = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, those.add(listener))
  }

  removeEventListener(name: string, listener: (event: never) => void): void {
    this.#listeners.get(name)?.delete(listener)
  }

  get listening(): number {
    return [...this.#listeners.values()].reduce((sum, those) => sum + those.size, 0)
  }

  tell(type: string, fields: object = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...fields } as never)
  }

  hide(): void {
    this.document.hidden = true
    this.tell('visibilitychange')
  }

  show(): void {
    this.document.hidden = false
    this.tell('visibilitychange')
  }
}

type Request = Record<string, unknown> & { action: string; id: string }

/** The client's end of a connection, as a browser would show it. */
export class FakeSocket implements Socket {
  readyState = 0
  bufferedAmount = 0
  onopen: ((event: never) => void) | null = null
  onmessage: ((event: never) => void) | null = null
  onclose: ((event: never) => void) | null = null
  onerror: ((event: never) => void) | null = null
  readonly requests: Request[] = []
  readonly symbols = new Map<string, string[] | null>()
  closedWith: number | undefined

  constructor(
    readonly url: string,
    readonly gateway: FakeGateway,
  ) {
    gateway.sockets.push(this)
    if (gateway.accepts) this.#soon(() => { this.open() })
  }

  send(text: string): void {
    if (this.readyState !== 1) throw new Error('not open')
    const request = JSON.parse(text) as Request
    this.requests.push(request)
    if (this.gateway.answers) this.#soon(() => { this.gateway.answer(this, request) })
  }

  /** Nothing comes back while the client is still calling. */
  #soon(run: () => void): void {
    this.gateway.clock.setTimeout(run, 0)
  }

  close(code = 1005): void {
    this.readyState = 2
    this.closedWith = code
  }

  open(): void {
    this.readyState = 1
    this.onopen?.({} as never)
  }

  /** What the server says, or any text that reaches the client. */
  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as never)
  }

  /** The connection ends from the other side. */
  end(code = 1006): void {
    this.readyState = 3
    this.onclose?.({ code } as never)
  }

  asked(action: string): Request[] {
    return this.requests.filter((request) => request.action === action)
  }
}

export const quote = (last: number, more: Partial<MarketData> = {}): MarketData => ({
  last,
  bid: last - 1,
  ask: last + 1,
  change_pct: 1.5,
  ts: START,
  source: 'binance',
  stale: false,
  market: 'open',
  ...more,
})

export const instrument = (symbol: string, more: Partial<Instrument> = {}): Instrument => ({
  symbol,
  name: symbol,
  class: 'crypto',
  decimals: 2,
  ...more,
})

/** A server with a market of its own: it answers subscriptions and broadcasts what a test tells it. */
export class FakeGateway {
  /** Sockets open by themselves. */
  accepts = true
  /** Requests are answered. */
  answers = true
  maxAge = 6_900_000
  seq = 100
  sockets: FakeSocket[] = []
  data: Record<string, Record<string, unknown>> = { BTC: { ...quote(100) }, ETH: { ...quote(10) } }

  readonly WebSocket = ((gateway: FakeGateway) =>
    class extends FakeSocket {
      constructor(url: string) {
        super(url, gateway)
      }
    })(this)

  constructor(readonly clock: FakeClock) {}

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1)
    if (!socket) throw new Error('nobody has connected')
    return socket
  }

  snapshot(symbols: readonly string[] | null, stream = 'market'): Record<string, unknown> {
    const names = Object.keys(this.data).filter((symbol) => symbols?.includes(symbol) !== false)
    return {
      stream,
      seq: this.seq,
      ts: this.clock.now(),
      part: 1,
      parts: 1,
      instruments: names.map((symbol) => instrument(symbol)),
      data: Object.fromEntries(names.map((symbol) => [symbol, this.data[symbol]])),
    }
  }

  answer(socket: FakeSocket, { action, id, ...request }: Request): void {
    if (action === 'subscribe') {
      const symbols = (request['symbols'] as string[] | undefined) ?? null
      const since = request['since'] as Record<string, number> | undefined
      const streams = (request['streams'] as string[]).map((stream) => {
        socket.symbols.set(stream, symbols)
        const snapshot = since?.[stream] === this.seq ? null : this.snapshot(symbols, stream)
        return [stream, { seq: this.seq, period_ms: stream === 'market' ? 5_000 : 30_000, snapshot }]
      })
      socket.say({
        type: 'subscribed',
        id,
        v: 1,
        server_time: this.clock.now(),
        max_age_ms: this.maxAge,
        ping_after_ms: 15_000,
        streams: Object.fromEntries(streams) as unknown,
      })
    } else if (action === 'unsubscribe') {
      for (const stream of request['streams'] as string[]) socket.symbols.delete(stream)
    } else if (action === 'snapshot') {
      const stream = request['stream'] as string
      socket.say({ type: 'snapshot', id, ...this.snapshot(socket.symbols.get(stream) ?? null, stream) })
    } else if (action === 'ping') {
      socket.say({ type: 'pong', id, ts: this.clock.now() })
    }
  }

  /** One tick: remember `changed` and send it to every open socket that subscribed, but not to `lost` ones. */
  tick(
    changed: Record<string, Record<string, unknown>>,
    { stream = 'market', lost = false }: { stream?: string; lost?: boolean } = {},
  ): void {
    const prev = this.seq++
    for (const [symbol, data] of Object.entries(changed)) this.data[symbol] = { ...this.data[symbol], ...data }
    if (lost) return
    for (const socket of this.sockets) {
      if (socket.readyState !== 1 || !socket.symbols.has(stream)) continue
      const symbols = socket.symbols.get(stream)
      const updates = Object.entries(changed)
        .filter(([symbol]) => symbols?.includes(symbol) !== false)
        .map(([symbol, data]) => ({ symbol, data }))
      const type = { market: 'market_batch', signals: 'signal_batch', binary: 'binary_batch' }[stream]
      socket.say({ type, seq: this.seq, prev, ts: this.clock.now(), updates })
    }
  }

  refuse(socket: FakeSocket, id: string | null, code: string, more: object = {}): void {
    socket.say({ type: 'error', id, code, message: code, retryable: false, retry_after_ms: null, ...more })
  }
}
