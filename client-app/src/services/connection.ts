/**
 * One socket that stays: it is opened, watched, replaced and retired here; what is said over it is the caller's.
 *
 * Every handler first asks whether its socket is still one of ours, so a late event of a replaced socket or a retired
 * timer never touches a newer one.
 */

/** What is used of a browser's WebSocket. */
export interface Socket {
  readonly readyState: number
  readonly bufferedAmount: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(text: string): void
  close(code?: number): void
}

/** Where time comes from; milliseconds throughout, `now` since the epoch. */
export interface Clock {
  now: () => number
  setTimeout: (run: () => void, after: number) => unknown
  clearTimeout: (timer: unknown) => void
}

/** What is used of a browser's window: its events, and what it knows of the network and of being seen. */
export interface Page {
  addEventListener?(name: string, listener: (event: never) => void): void
  removeEventListener?(name: string, listener: (event: never) => void): void
  document?: { readonly hidden: boolean }
  navigator?: { readonly onLine?: boolean; readonly connection?: { readonly saveData?: boolean } }
}

/**
 * idle: nobody wants data. connecting: a socket is being opened. live: frames arrive. stale: a ping stays unanswered.
 * waiting: the next try is due at `nextRetryAt`. offline: the same, and the browser says that there is no network.
 * closed: `disconnectAll`. failed: trying again would not help, until somebody calls `retry`.
 */
export type State = 'idle' | 'connecting' | 'live' | 'stale' | 'waiting' | 'offline' | 'closed' | 'failed'

export interface ConnectionOptions {
  WebSocket?: new (url: string) => Socket
  clock?: Clock
  /** Uniform in [0, 1). */
  random?: () => number
  page?: Page
  /** Close the socket of a page hidden for so many milliseconds and open it on return; without end, five minutes under Save-Data. */
  suspendAfter?: number
}

/** One socket and what was said over it. */
export interface Link {
  socket: Socket
  createdAt: number
  /** 0 until the socket is open. */
  openedAt: number
  /** The symbols subscribed to, by stream: the caller's own record. */
  sent: Map<string, string>
}

/** What the caller of a connection wants to hear. */
export interface Owner {
  url(): string
  opened(link: Link): void
  received(text: string, link: Link): void
  /** After how many milliseconds of silence to probe. */
  silence(): number
  /** Silence has lasted: ask for a sign of life. */
  probe(link: Link): void
  lost(link: Link): void
  /** Once a second from `open` until `close`. */
  beat(now: number): void
  changed(): void
}

const BEAT = 1_000
const OPEN_WITHIN = 10_000
const ANSWER_WITHIN = 5_000
const STALE_AFTER = 2_000
const MISSED_BEATS = 5
const BACKOFF_FLOOR = 250
const BACKOFF_BASE = 500
const BACKOFF_CAP = 30_000
const STABLE_AFTER = 10_000
const RETIRE_AFTER = 2_000
const BUFFER_LIMIT = 65_536
const SAVE_DATA_SUSPENDS_AFTER = 300_000
const EVENTS = ['online', 'offline', 'visibilitychange', 'pageshow', 'pagehide']

/** A socket kept open; instants in epoch milliseconds. */
export interface Connection {
  now: () => number
  status(): {
    state: State
    reason: string
    attempt: number
    nextRetryAt: number | null
    lastMessageAt: number | null
  }
  /** Have a socket, from now until `close`. */
  open(): void
  /** Have none, and say why: `state` is what is left to show. */
  close(state: State, reason: string): void
  /** Try again now, whatever was planned. */
  retry(): void
  /** The open sockets, the one that matters first. */
  links(): Link[]
  /** Send on `link` unless it is not open or does not drain; says whether it was sent. */
  send(message: object, link: Link): boolean
  /** Everything wanted is subscribed on `link`: if it is the successor, it takes over. */
  settled(link: Link): void
  /** Open a successor before the present socket ends. */
  rotate(): void
  /** A connection may live for so many milliseconds. */
  allow(maxAge: number): void
  /** No reconnection before this instant: the server asked for it. */
  holdUntil(instant: number): void
}

/** Keep a socket for `owner`; nothing happens before `open`. */
export function keepConnection(owner: Owner, options: ConnectionOptions): Connection {
  const page = options.page ?? (globalThis as Page)
  const random = options.random ?? Math.random
  const { now }: Pick<Clock, 'now'> = options.clock ?? Date
  const timers: Pick<Clock, 'setTimeout' | 'clearTimeout'> = options.clock ?? (globalThis as never)

  let state: State = 'idle'
  let reason = ''
  let attempt = 0
  let nextRetryAt: number | null = null
  /** When the last frame arrived, or the socket opened. */
  let lastMessageAt = 0
  let maxAge = Infinity
  let heldUntil = 0

  let current: Link | undefined
  let next: Link | undefined
  let retired: Link | undefined
  let retireAt = 0
  let rotateAt = Infinity
  let probedAt = 0
  let beatAt = 0
  let hiddenAt = 0
  let suspended = false
  let beatTimer: unknown
  let retryTimer: unknown

  function become(newState: State, why: string): void {
    if (newState === state && why === reason && !nextRetryAt) return
    state = newState
    reason = why
    owner.changed()
  }

  function planRotation(): void {
    // 0.91 to 0.99 of the allowed age: clients that came together do not leave together.
    if (current?.openedAt) rotateAt = current.openedAt + maxAge * (0.91 + 0.08 * random())
  }

  function promote(): void {
    current = next
    next = undefined
    probedAt = 0
    planRotation()
  }

  function link(): Link | undefined {
    let socket: Socket
    try {
      socket = new (options.WebSocket ?? WebSocket)(owner.url())
    } catch (error) {
      close('failed', String(error)) // a bad address, or a policy of the page's: it will not get better
      return
    }
    const made: Link = { socket, createdAt: now(), openedAt: 0, sent: new Map() }
    // What went wrong is told by the close that follows; without a listener some sockets throw it.
    socket.onerror = () => undefined
    socket.onopen = () => {
      made.openedAt = lastMessageAt = now()
      if (made === current) planRotation()
      owner.opened(made)
    }
    socket.onmessage = (event: { data: unknown }) => {
      lastMessageAt = now()
      if (made === current) {
        probedAt = 0
        become('live', '')
      }
      if (typeof event.data === 'string') owner.received(event.data, made)
    }
    socket.onclose = (event: { code: number }) => {
      lose(made, `closed with ${event.code}`)
    }
    return made
  }

  function connect(): void {
    nextRetryAt = null
    probedAt = 0
    rotateAt = Infinity
    current = link()
    if (current) become('connecting', reason)
  }

  /** Let go of a socket without waiting for it: `close` on a dead one can take minutes. */
  function discard(old: Link | undefined): void {
    if (!old) return
    const { socket } = old
    socket.onopen = socket.onmessage = socket.onclose = null
    try {
      socket.close(1000)
    } catch {
      // A socket that cannot be closed any more is already gone.
    }
    owner.lost(old)
  }

  function release(): void {
    timers.clearTimeout(retryTimer)
    nextRetryAt = null
    discard(current)
    discard(next)
    discard(retired)
    current = next = retired = undefined
  }

  function lose(old: Link, why: string): void {
    discard(old)
    if (old === retired) {
      retired = undefined
    } else if (old === next) {
      next = undefined
      rotateAt = now() + ANSWER_WITHIN + random() * BACKOFF_CAP
    } else if (next) {
      promote()
      become('connecting', why)
    } else {
      current = undefined
      // Full jitter above a floor.
      const delay = BACKOFF_FLOOR + random() * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** attempt++)
      nextRetryAt = Math.max(now() + delay, heldUntil)
      retryTimer = timers.setTimeout(connect, nextRetryAt - now())
      become(page.navigator?.onLine === false ? 'offline' : 'waiting', why)
    }
  }

  function scheduleBeat(): void {
    beatTimer = timers.setTimeout(beat, BEAT)
  }

  function beat(): void {
    scheduleBeat()
    const at = now()
    const slept = at - beatAt > MISSED_BEATS * BEAT && lastMessageAt <= beatAt
    beatAt = at
    if (next && at - next.createdAt > OPEN_WITHIN) lose(next, '')
    if (retired && at >= retireAt) lose(retired, '')
    if (current && !current.openedAt) {
      if (at - current.createdAt > OPEN_WITHIN) lose(current, 'no answer')
    } else if (current) {
      if (state === 'live' && at - current.openedAt > STABLE_AFTER) attempt = 0
      if (at >= rotateAt) rotate()
      if (probedAt) {
        if (at - probedAt >= ANSWER_WITHIN) lose(current, 'no answer')
        else if (at - probedAt >= STALE_AFTER) become('stale', '')
      } else if (slept || at - lastMessageAt > owner.silence()) {
        probe(current)
      }
    }
    const patience =
      options.suspendAfter ?? (page.navigator?.connection?.saveData ? SAVE_DATA_SUSPENDS_AFTER : Infinity)
    if (hiddenAt && at - hiddenAt > patience) suspend()
    owner.beat(at)
  }

  function probe(suspect: Link): void {
    probedAt = now()
    owner.probe(suspect)
  }

  function suspend(): void {
    if (suspended) return
    suspended = true
    release()
    become('idle', 'hidden')
  }

  function noticed({ type, persisted }: { type: string; persisted?: boolean }): void {
    if (type === 'pagehide') {
      // A page with an open socket is kept out of the back/forward cache.
      if (persisted) suspend()
    } else if (type === 'visibilitychange' && page.document?.hidden) {
      hiddenAt = now()
    } else {
      hiddenAt = 0
      if (!current) {
        if (type === 'offline') {
          if (nextRetryAt) become('offline', reason)
        } else if (suspended || now() >= heldUntil) {
          retry()
        }
      } else if (current.openedAt && !probedAt && now() - lastMessageAt > BEAT) {
        // `readyState` is not to be trusted after sleep or a change of networks.
        probe(current)
      }
    }
  }

  function hear(change: 'add' | 'remove'): void {
    for (const name of EVENTS) page[`${change}EventListener`]?.(name, noticed)
  }

  function open(): void {
    if (beatTimer) return
    attempt = 0
    suspended = false
    beatAt = now()
    hiddenAt = page.document?.hidden ? beatAt : 0
    hear('add')
    scheduleBeat()
    connect()
  }

  function close(last: State, why: string): void {
    hear('remove')
    timers.clearTimeout(beatTimer)
    beatTimer = undefined
    release()
    become(last, why)
  }

  function retry(): void {
    if (!beatTimer) {
      open()
    } else if (!current) {
      timers.clearTimeout(retryTimer)
      suspended = false
      connect()
    }
  }

  function rotate(): void {
    if (current?.openedAt && !next) next = link()
  }

  return {
    now,
    open,
    close,
    retry,
    rotate,
    status: () => ({ state, reason, attempt, nextRetryAt, lastMessageAt: lastMessageAt || null }),
    links: () => [current, next].filter((each): each is Link => !!each?.openedAt),
    send(message, { socket }) {
      if (socket.readyState !== 1 || socket.bufferedAmount > BUFFER_LIMIT) return false
      socket.send(JSON.stringify(message))
      return true
    },
    settled(successor) {
      if (successor !== next) return
      discard(retired)
      // Ticks that read the list of connections before the new subscription was stored still come on the old socket.
      retired = current
      retireAt = now() + RETIRE_AFTER
      promote()
      become('live', '')
    },
    allow(age) {
      if (maxAge === age) return
      maxAge = age
      planRotation()
    },
    holdUntil(instant) {
      heldUntil = instant
    },
  }
}
