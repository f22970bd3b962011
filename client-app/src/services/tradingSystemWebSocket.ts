/**
 * Live market data in a browser: `connectMarket`, `connectSignals`, `connectBinary`, `disconnectAll`.
 *
 * One shared socket carries every stream that somebody listens to. It is opened with the first listener, closed five
 * seconds after the last one left, and in between it reconnects, notices silence, rotates before the gateway's life
 * limit, resubscribes and repairs gaps by itself. No dependencies.
 */

import type { BinaryUpdate, Instrument, MarketUpdate, ServerMessage, SignalUpdate } from '../protocol.js'
import { type Events, followStreams, type ListenOptions, type Options, type Status, type Unsubscribe } from './streams.js'

export type * from '../protocol.js'
export type { Clock, ConnectionOptions, Page, Socket, State } from './connection.js'
export type { Batch, Events, ListenOptions, Options, Status, Unsubscribe } from './streams.js'

export class TradingSystemWebSocket {
  readonly #streams

  constructor(options: Options = {}) {
    this.#streams = followStreams(options)
  }

  /**
   * Call back with every quote, the known ones at once.
   *
   * The data of an update are frozen and whole. What a callback throws goes to the console and nowhere else.
   *
   * @returns Ends it; repeating that does nothing.
   * @throws TypeError if `symbols` is empty or holds what cannot be a symbol.
   */
  connectMarket(callback: (update: MarketUpdate) => void, options?: ListenOptions): Unsubscribe {
    return this.#streams.listen('market', callback, options)
  }

  /** Call back with every technical rating, as `connectMarket` does with quotes. */
  connectSignals(callback: (update: SignalUpdate) => void, options?: ListenOptions): Unsubscribe {
    return this.#streams.listen('signals', callback, options)
  }

  /** Call back with every sentiment, as `connectMarket` does with quotes. */
  connectBinary(callback: (update: BinaryUpdate) => void, options?: ListenOptions): Unsubscribe {
    return this.#streams.listen('binary', callback, options)
  }

  /** Drop every listener and close the socket now; a later connect starts anew. */
  disconnectAll(): void {
    this.#streams.end('closed', 'disconnectAll')
  }

  /** Try to connect at once instead of waiting, or again after `failed`. */
  retry(): void {
    this.#streams.retry()
  }

  /** Hear about `event` until the returned function is called. */
  on<E extends keyof Events>(event: E, handler: (event: Events[E]) => void): Unsubscribe {
    return this.#streams.on(event, handler)
  }

  /**
   * Ask the server something over the shared socket, such as `{action: 'candles', symbol, timeframe}`.
   *
   * Waits for a connection if one is being made. Rejects with an `ErrorMessage`: the server's own, or `unavailable`
   * after ten seconds, when 32 requests are waiting already, or when nobody listens to any stream.
   */
  request<M extends ServerMessage = ServerMessage>(body: { action: string; [field: string]: unknown }): Promise<M> {
    return this.#streams.request(body) as Promise<M>
  }

  get status(): Status {
    return this.#streams.status()
  }

  /** Every instrument the server has named, by symbol. */
  get instruments(): ReadonlyMap<string, Instrument> {
    return this.#streams.instruments
  }
}

/** The one that a page shares. */
export default new TradingSystemWebSocket()
