/** The client that the whole page shares; tests provide another one. */

import { inject, type InjectionKey } from 'vue'

import shared, { type TradingSystemWebSocket } from './services/tradingSystemWebSocket'

export const CLIENT: InjectionKey<TradingSystemWebSocket> = Symbol('client')

export const useClient = (): TradingSystemWebSocket => inject(CLIENT, shared)
